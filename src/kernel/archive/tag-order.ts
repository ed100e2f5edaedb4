/** Positions in ascending order of their tags, those of one tag as they came: a counting sort. */
export function orderByTag(tags: Uint32Array): Uint32Array {
  const starts = new Uint32Array(tags.reduce((most, tag) => Math.max(most, tag), 0) + 2);
  for (const tag of tags) starts[tag + 1] = (starts[tag + 1] as number) + 1;
  for (let tag = 1; tag < starts.length; tag++) {
    starts[tag] = (starts[tag] as number) + (starts[tag - 1] as number);
  }
  const order = new Uint32Array(tags.length);
  for (const [row, tag] of tags.entries()) {
    const place = starts[tag] as number;
    starts[tag] = place + 1;
    order[place] = row;
  }
  return order;
}
