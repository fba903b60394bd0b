"use strict";
// Everything is in the page already: this only opens a machine and picks what of it is seen.
(() => {
  const remember = (hash) => history.replaceState(null, "", hash || location.pathname + location.search);

  const show = (button) => {
    const dialog = button.closest("dialog");
    for (const other of dialog.querySelectorAll("nav button")) other.removeAttribute("aria-current");
    button.setAttribute("aria-current", "true");
    for (const panel of dialog.querySelectorAll("article")) panel.hidden = panel.id !== button.dataset.shows;
    dialog.querySelector(".panels").scrollTo(0, 0);
    remember("#" + dialog.id + (button.classList.contains("path") ? button.textContent : ""));
  };

  // An address is a machine's id, with the path of one of its files behind it or without.
  const open = (address) => {
    const slash = (address + "/").indexOf("/");
    const dialog = document.getElementById(address.slice(0, slash));
    if (!(dialog instanceof HTMLDialogElement)) return;
    for (const other of document.querySelectorAll("dialog[open]")) if (other !== dialog) other.close();
    if (!dialog.open) dialog.showModal();
    const path = address.slice(slash);
    const file = path && [...dialog.querySelectorAll("nav .path")].find((button) => button.textContent === path);
    const button = file || dialog.querySelector("nav button[aria-current]");
    button.focus();
    show(button);
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
    dialog.addEventListener("close", () => remember(""));
  }

  // A link that names a machine opens it.
  const named = () => location.hash && open(decodeURIComponent(location.hash.slice(1)));
  window.addEventListener("hashchange", named);
  named();
})();
