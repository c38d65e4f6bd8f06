// Where each peer stands. Pure functions of the tree and the width; a peer keeps its place while
// others come and go, as far as the tree lets it.
//
// One line (two links a peer): trained along horizontal wires from the root at the ground. Its two
// arms go left and right; at the edge each folds up to the next wire and comes back.
// A tree (more links): a wire for each depth; branches run along their parent's wire and turn up.

export const isLine = (tree) => tree.all.every((node) => node.children.length <= (node.parent ? 1 : 2));

// {places: id -> {x, y}, wires: [{y, from, to, first, last}], width, height, cell, kind}
export function layout(tree, width, height) {
  if (!tree.main) return {places: new Map(), wires: [], width, height, cell: 40, kind: "line"};
  const isSimple = isLine({all: below(tree.main)});
  return isSimple ? lineLayout(tree, width, height) : treeLayout(tree, width, height);
}

function below(root) {
  const found = [root];
  for (let i = 0; i < found.length; ++i) found.push(...found[i].children);
  return found;
}

const armOf = (node) => {
  const arm = [];
  for (; node; node = node.children[0]) arm.push(node);
  return arm;
};

// Where peers may stand: the depths of the wires are written before it, and folds need room.
export const gutterOf = (width) => (width < 600 ? 46 : 104);
const edgesOf = (width) => [gutterOf(width) + (width < 600 ? 24 : 48), width - (width < 600 ? 30 : 62)];

// The largest cell for which all fits, so that five peers are as good a picture as five hundred.
function lineLayout(tree, width, height) {
  const arms = tree.main.children.map(armOf);
  const isOneSided = arms.length < 2;
  const longest = Math.max(0, ...arms.map((arm) => arm.length));
  const [left, right] = edgesOf(width);
  const half = isOneSided ? right - left : (right - left) / 2;
  let cell = Math.min(132, half / Math.min(2, Math.max(longest, 1))), columns, wires, rise;
  for (;; cell -= 2) {
    columns = Math.max(1, Math.floor(half / cell));
    wires = Math.max(1, Math.ceil(longest / columns));
    rise = Math.min(92, Math.max(22, cell * 1.35));
    if (cell <= 14 || wires * rise + 96 <= height) break;
  }
  // All of the width, but not wider than looks like one plant.
  cell = Math.min(132, half / Math.min(columns, Math.max(longest, 1)));
  const total = Math.max(height, wires * rise + 110);
  const ground = wires === 1 ? total * 0.62 : total - Math.max(60, (total - wires * rise) / 2);
  const centre = isOneSided ? left + (longest < columns ? Math.max(0, (half - longest * cell) / 2) : 0) : (left + right) / 2;
  const places = new Map([[tree.main.id, {x: centre, y: ground}]]);
  arms.forEach((arm, side) => {
    const way = isOneSided || side === 1 ? 1 : -1;
    arm.forEach((node, i) => {
      const wire = Math.floor(i / columns), step = i % columns;
      const column = wire % 2 === 0 ? step + 1 : columns - step;
      places.set(node.id, {x: centre + way * column * cell, y: ground - wire * rise, wire});
    });
  });
  const reach = Math.min(longest, columns) * cell;
  const lines = Array.from({length: wires}, (_, wire) => ({
    y: ground - wire * rise, from: isOneSided ? centre : centre - reach, to: centre + reach,
    first: wire === 0 ? 0 : wire * columns + 1, last: Math.min((wire + 1) * columns, longest),
  }));
  placeOthers(tree, places, width, ground, cell);
  return {places, wires: lines, width, height: total, cell, rise, ground, kind: "line"};
}

function treeLayout(tree, width, height) {
  const [left, right] = edgesOf(width);
  const root = d3.hierarchy(tree.main, (node) => node.children);
  const cell = 44;
  d3.tree().nodeSize([cell, 1]).separation((one, other) => (one.parent === other.parent ? 1 : 1.25))(root);
  const nodes = root.descendants();
  const [least, most] = d3.extent(nodes, (node) => node.x);
  const depth = root.height;
  const span = Math.max(most - least, 1);
  const scale = Math.min(2.6, (right - left) / span);
  const rise = Math.min(110, Math.max(34, (height - 130) / Math.max(depth, 1)));
  const total = Math.max(height, depth * rise + 110);
  const ground = total - Math.max(56, (total - depth * rise) / 2);
  const middle = (left + right) / 2 - ((least + most) / 2) * scale;
  const places = new Map(nodes.map((node) => [node.data.id, {x: middle + node.x * scale, y: ground - node.depth * rise}]));
  const wires = Array.from({length: depth + 1}, (_, level) => ({
    y: ground - level * rise, from: left, to: right, first: level, last: level,
  }));
  placeOthers(tree, places, width, ground, cell);
  return {places, wires, width, height: total, cell: cell * scale, rise, ground, kind: "tree"};
}

// Who has no place in the tree yet waits on the ground, at the right.
function placeOthers(tree, places, width, ground, cell) {
  const step = Math.max(18, Math.min(cell, 60));
  let x = width - 40;
  let row = 0;
  for (const root of tree.roots) {
    if (root === tree.main) continue;
    for (const node of below(root)) {
      places.set(node.id, {x, y: ground + 44 + row * 26});
      x -= step;
      if (x < width / 2) {
        x = width - 40;
        ++row;
      }
    }
  }
}

// From a parent to its child: along the wire, and round at the fold.
export function linkPath(from, to, kind) {
  if (kind === "line" && from.y === to.y) return `M${from.x},${from.y}H${to.x}`;
  if (kind === "line" && Math.abs(from.x - to.x) < 1) {
    const bulge = Math.min(44, Math.abs(from.y - to.y) * 0.62) * (from.way ?? 1);
    return `M${from.x},${from.y}C${from.x + bulge},${from.y} ${to.x + bulge},${to.y} ${to.x},${to.y}`;
  }
  if (Math.abs(from.x - to.x) < 1) return `M${from.x},${from.y}V${to.y}`;
  const turn = Math.min(14, Math.abs(to.x - from.x), Math.abs(from.y - to.y)) * Math.sign(to.x - from.x);
  const up = Math.min(14, Math.abs(from.y - to.y)) * Math.sign(to.y - from.y || -1);
  return `M${from.x},${from.y}H${to.x - turn}Q${to.x},${from.y} ${to.x},${from.y + up}V${to.y}`;
}
