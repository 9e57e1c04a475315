// Blocks of the page that lie there compressed.
const blocks = new Map();

function unpacked(id) {
  if (!blocks.has(id)) blocks.set(id, inflated(document.getElementById(id).textContent));
  return blocks.get(id);
}

async function inflated(text) {
  if (!("DecompressionStream" in window)) {
    throw new Error("this browser is too old for them (it lacks DecompressionStream)");
  }
  const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).text();
}

// An element with text in it; text stays text.
function element(tag, text, className) {
  const made = document.createElement(tag);
  if (text !== undefined && text !== null) made.textContent = text;
  if (className) made.className = className;
  return made;
}
