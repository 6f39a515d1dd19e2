// The live widget of voxops draws the kernel's model and sends back what a person does. views/_widget.py joins these files to one
// module: no build step, no dependency, nothing fetched. Text is set as text only; a test proves that there is no innerHTML.

const ROW = 28, OVERSCAN = 6, PATIENCE = 5000;

const FOCUSED = new Set(["a", "button", "input", "select", "summary", "textarea"]);

/** Create an element; strings become text, functions listeners. */
function h(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (typeof value === "function") node.addEventListener(name, value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  // JupyterLab would take a key pressed here as a shortcut, such as the one that deletes the cell.
  if (FOCUSED.has(tag) || "tabindex" in attributes) node.setAttribute("data-lm-suppress-shortcuts", "true");
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== ""));
  return node;
}

/** A value by a name that may come from the API: "constructor" is a name of every object. */
const own = (object, name) => (object && Object.hasOwn(object, name) ? object[name] : undefined);

const number = (value) => Number(value).toLocaleString("en-US");
const many = (count, noun) => `${number(count)} ${noun}${count === 1 ? "" : "s"}`;

function swatch(colour) {
  const node = h("span", { class: "vx-swatch", "aria-hidden": "true" });
  node.style.backgroundColor = colour;
  return node;
}
