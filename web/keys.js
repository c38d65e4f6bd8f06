// The way through the tree by keyboard, where it is elements and where it is painted.

// Up to the first child, down to the parent, aside among siblings and along the branch; null: the
// key means nothing here, or leads to nobody that is drawn.
export function nextOf(tree, places, node, key) {
  const siblings = node.parent?.children ?? [node];
  const at = siblings.indexOf(node);
  const next = {
    ArrowUp: node.children[0], ArrowDown: node.parent,
    ArrowLeft: siblings[at - 1] ?? node.parent, ArrowRight: siblings[at + 1] ?? node.children[0],
    Home: tree.main, End: tree.all.at(-1),
  }[key];
  return next && places.has(next.id) ? next : null;
}

// What the arrows are at in a picture that is painted: its ring, its place in sight, and the words
// of it for those who cannot see it.
export class PaintedFocus {
  // `describe(node)`; `moved(node)`: it is another one, or none any more (null).
  constructor(spoken, describe, moved) {
    this.spoken = spoken;  // a live region
    this.describe = describe;
    this.moved = moved;
    this.isShown = false;
  }

  // Of a canvas: the zoom is one of d3.
  attach(canvas, zoomer, current) {
    this.canvas = canvas;
    this.zoomer = zoomer;
    canvas.addEventListener("focus", () => canvas.matches(":focus-visible") && current());
    canvas.addEventListener("blur", () => this.hide());
    canvas.addEventListener("pointerdown", () => this.hide());
  }

  show(node, place, note = "") {
    this.isShown = true;
    const [x, y] = d3.zoomTransform(this.canvas).apply([place.x, place.y]);
    const {clientWidth: width, clientHeight: height} = this.canvas, edge = 24;
    if (x < edge || y < edge || x > width - edge || y > height - edge) {
      d3.select(this.canvas).call(this.zoomer.translateTo, place.x, place.y);
    }
    this.spoken.textContent = this.describe(node) + note;
    this.moved(node);
  }

  hide() {
    if (!this.isShown) return;
    this.isShown = false;
    this.spoken.textContent = "";
    this.moved(null);
  }
}
