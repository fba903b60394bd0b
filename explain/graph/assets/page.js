"use strict";
// Everything is in the page already: this only opens a machine and picks what of it is seen.
(() => {
  const open = (id) => {
    const dialog = document.getElementById(id);
    if (!(dialog instanceof HTMLDialogElement) || dialog.open) return;
    dialog.showModal();
    dialog.querySelector("nav button[aria-current]").focus();
    history.replaceState(null, "", "#" + id);
  };

  const show = (button) => {
    const dialog = button.closest("dialog");
    for (const other of dialog.querySelectorAll("nav button")) other.removeAttribute("aria-current");
    button.setAttribute("aria-current", "true");
    for (const panel of dialog.querySelectorAll("article")) panel.hidden = panel.id !== button.dataset.shows;
    dialog.querySelector(".panels").scrollTo(0, 0);
  };

  document.addEventListener("click", (event) => {
    if (event.target instanceof HTMLDialogElement) return event.target.close(); // the backdrop
    const button = event.target.closest("button");
    if (!button) return;
    if (button.dataset.opens) open(button.dataset.opens);
    else if (button.dataset.shows) show(button);
    else if ("closes" in button.dataset) button.closest("dialog").close();
  });

  // The arrow keys walk through a machine's files, and show each.
  document.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    const nav = step && event.target.closest("nav");
    if (!nav) return;
    event.preventDefault();
    const buttons = [...nav.querySelectorAll("button")];
    const next = buttons[buttons.indexOf(event.target) + step];
    if (next) {
      next.focus();
      show(next);
    }
  });

  for (const dialog of document.querySelectorAll("dialog")) {
    dialog.addEventListener("close", () => history.replaceState(null, "", location.pathname + location.search));
  }

  // A link with a machine's name in it opens that machine.
  const named = () => location.hash && open(decodeURIComponent(location.hash.slice(1)));
  window.addEventListener("hashchange", named);
  named();
})();
