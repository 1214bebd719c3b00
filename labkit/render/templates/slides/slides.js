// Without this script all slides stand one below the other. With it, keys show one at a time.
const slides = [...document.querySelectorAll("section")];
const STEPS = {ArrowRight: 1, PageDown: 1, " ": 1, ArrowLeft: -1, PageUp: -1, Home: -slides.length, End: slides.length};
let present = 0;
function show(number) {
  present = Math.max(0, Math.min(slides.length - 1, number));
  slides.forEach((slide, index) => slide.classList.toggle("shown", index === present));
  scrollTo(0, 0);
  history.replaceState(null, "", `#${present + 1}`);
}
addEventListener("keydown", (event) => {
  if (!(event.key in STEPS) || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  show(present + STEPS[event.key]);
});
addEventListener("hashchange", () => show(Number(location.hash.slice(1)) - 1 || 0));
document.body.classList.add("one");
show(Number(location.hash.slice(1)) - 1 || 0);
