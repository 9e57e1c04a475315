// Which trials are chosen, for every part of the page that shows it.
let chosen = null;
// What is painted while a brush moves, and what only once it rests.
const swift = [];
const followers = [];
let painting = false;
let resting = 0;

// A set of numbers of trials; null: all.
function choose(numbers) {
  chosen = numbers;
  clearTimeout(resting);
  resting = setTimeout(() => { for (const follow of followers) follow(); }, 80);
  if (painting) return;
  painting = true;
  requestAnimationFrame(() => {
    painting = false;
    for (const follow of swift) follow();
  });
}
