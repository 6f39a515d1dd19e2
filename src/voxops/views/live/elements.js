// The live widget of voxops: draws the model that the kernel holds, and sends back what a person does. These files are joined to one
// module, in the order that views/_widget.py names: no build step, no dependency, nothing fetched. Text is set as text only: there is
// no innerHTML here, and a test keeps it so.

const ROW = 28, OVERSCAN = 6, PATIENCE = 5000;

const FOCUSED = new Set(["a", "button", "input", "select", "summary"]);

/** Make an element; strings become text, functions listeners. */
function h(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (typeof value === "function") node.addEventListener(name, value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  // JupyterLab would take a key pressed here for one of its own, such as the one that deletes the cell.
  if (FOCUSED.has(tag) || "tabindex" in attributes) node.setAttribute("data-lm-suppress-shortcuts", "true");
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== ""));
  return node;
}

const number = (value) => Number(value).toLocaleString("en-US");
const many = (count, noun) => `${number(count)} ${noun}${count === 1 ? "" : "s"}`;

function swatch(colour) {
  const node = h("span", { class: "vx-swatch", "aria-hidden": "true" });
  node.style.backgroundColor = colour;
  return node;
}
