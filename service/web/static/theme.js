// Before the first paint, so that a chosen theme does not flash: no module, and nothing else here.
(() => {
  try {
    const chosen = localStorage.getItem("theme");
    if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
  } catch {
    // Storage is switched off: the system's choice stands.
  }
})();
