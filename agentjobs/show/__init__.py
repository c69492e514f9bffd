"""What people are shown: plain values in, text out."""
