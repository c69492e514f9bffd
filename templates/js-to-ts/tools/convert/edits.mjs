// Text edits: {start, end, text}. Groups are applied whole or not at all.

/**
 * The text with these groups of edits made. A group that touches another one already taken is left out: the next
 * round sees what is still to do. Returns the new text and how many groups were made.
 */
export function applyGroups(text, groups) {
  const taken = [];
  let made = 0;
  const spans = groups
    .filter((group) => group.length > 0)
    .map((group) => ({
      group,
      start: Math.min(...group.map((edit) => edit.start)),
      end: Math.max(...group.map((edit) => edit.end)),
    }))
    .sort((a, b) => a.start - b.start || b.end - a.end);
  let reached = -1;
  for (const span of spans) {
    if (span.start <= reached) continue;
    taken.push(...span.group);
    reached = span.end;
    made += 1;
  }
  return { text: applyEdits(text, taken), made };
}

/** The text with these edits made; they must not overlap. Inserts at one place keep their order. */
export function applyEdits(text, edits) {
  const sorted = edits.map((edit, order) => ({ ...edit, order })).sort((a, b) => a.start - b.start || a.order - b.order);
  let out = '';
  let position = 0;
  for (const edit of sorted) {
    if (edit.start < position) continue;
    out += text.slice(position, edit.start) + edit.text;
    position = edit.end;
  }
  return out + text.slice(position);
}

export const insert = (position, text) => ({ start: position, end: position, text });
export const replace = (node, source, text) => ({ start: node.getStart(source), end: node.end, text });

/** Put `before` and `after` around an expression. */
export const wrap = (node, source, before, after) => [insert(node.getStart(source), before), insert(node.end, after)];
