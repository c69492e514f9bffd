// Text edits: {start, end, text}. Groups are applied whole or not at all.

/**
 * The groups of edits that can be made together: a group that overlaps an earlier one is left for the next round.
 */
export function compatible(groups) {
  const spans = groups
    .filter((group) => group.edits.length > 0)
    .map((group) => ({
      group,
      start: Math.min(...group.edits.map((edit) => edit.start)),
      end: Math.max(...group.edits.map((edit) => edit.end)),
    }))
    .sort((a, b) => a.start - b.start || a.end - b.end);
  const taken = [];
  let reached = -1;
  for (const { group, start, end } of spans) {
    if (start <= reached) continue;
    taken.push(group);
    reached = end;
  }
  return taken;
}

const inOrder = (edits) =>
  edits.map((edit, order) => ({ ...edit, order })).sort((a, b) => a.start - b.start || a.order - b.order);

/** The text with these edits made; they must not overlap. Inserts at one place keep their order. */
export function applyEdits(text, edits) {
  let out = '';
  let position = 0;
  for (const edit of inOrder(edits)) {
    if (edit.start < position) continue;
    out += text.slice(position, edit.start) + edit.text;
    position = edit.end;
  }
  return out + text.slice(position);
}

/** Where a position of the old text is in the new one: `[before, after]` what was inserted there. */
export function moved(position, edits) {
  let before = position;
  let after = position;
  for (const { start, end, text } of edits) {
    const grown = text.length - (end - start);
    if (start < position) before += grown;
    if (start <= position) after += grown;
  }
  return [before, after];
}

export const insert = (position, text) => ({ start: position, end: position, text });
export const replace = (node, source, text) => ({ start: node.getStart(source), end: node.end, text });

/** Without duplicates: two errors often lead to the same edit. */
export function unique(groups) {
  const seen = new Set();
  return groups.filter(({ name, edits }) => {
    const key = JSON.stringify([name, edits]);
    return seen.has(key) ? false : seen.add(key);
  });
}
