// Sort and filter the images that are on the page. Without it all of them are shown, worst first.
const box = document.querySelector(".images");
const figures = [...box.children];
const show = document.querySelector("#show"), sort = document.querySelector("#sort");
const kind = document.querySelector("#kind"), find = document.querySelector("#find");
const orders = {
  wrong: (a, b) => b.dataset.wrong - a.dataset.wrong,
  rising: (a, b) => a.dataset.score - b.dataset.score,
  falling: (a, b) => b.dataset.score - a.dataset.score,
  name: (a, b) => a.dataset.path.localeCompare(b.dataset.path, undefined, { numeric: true }),
};
function update() {
  const text = find.value.toLowerCase();
  let count = 0;
  for (const figure of figures) {
    const d = figure.dataset;
    figure.hidden = !(
      (show.value === "all" || show.value === d.outcome || (show.value === "wrong" && d.wrong > 0)) &&
      (kind.value === "all" || kind.value === d.kind) && d.path.toLowerCase().includes(text)
    );
    count += !figure.hidden;
  }
  box.append(...figures.slice().sort(orders[sort.value]));
  document.querySelector("#count").textContent = `${count} of ${figures.length} images`;
}
for (const control of [show, sort, kind, find]) control.addEventListener("input", update);
update();
