// More peers than can be drawn: those nearest to the root stay, the subtrees behind them fold.

export const DRAWN_MOST = 2000;

// The tree as it is drawn, below `top` (an id; null: from the root). Its nodes have `folded`, how
// many peers are not drawn behind them; `behind` are all their children (model.js).
export function fold(tree, top) {
  const main = (top !== null && tree.nodes.get(top)) || tree.main;
  const total = tree.all.length;
  for (const node of tree.all) node.folded = 0;
  if (total <= DRAWN_MOST && main === tree.main) return {...tree, total, hidden: 0};
  const roots = [main, ...(main === tree.main ? tree.roots.filter((root) => root !== main) : [])];
  const kept = new Set();
  let level = roots;
  while (level.length && kept.size < DRAWN_MOST) {
    const next = [];
    for (const node of level.slice(0, DRAWN_MOST - kept.size)) {
      kept.add(node);
      next.push(...node.children);
    }
    level = next;
  }
  for (const node of kept) {
    const hidden = node.children.filter((child) => !kept.has(child));
    if (!hidden.length) continue;
    node.folded = hidden.reduce((sum, child) => sum + sizeOf(child), 0);
    node.children = node.children.filter((child) => kept.has(child));
  }
  const all = tree.all.filter((node) => kept.has(node));
  return {...tree, all, main, roots: roots.filter((root) => kept.has(root)), total, hidden: total - all.length};
}

function sizeOf(node) {
  const queue = [node];
  for (let i = 0; i < queue.length; ++i) queue.push(...queue[i].children);
  return queue.length;
}
