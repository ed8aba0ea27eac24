"use strict";
(function () {
  const findings = Array.from(document.querySelectorAll(".finding"));
  const form = document.getElementById("filter");

  function show() {
    const wanted = new Set(Array.from(form.querySelectorAll("[name=action]:checked"), (box) => box.value));
    const rule = form.elements.rule.value;
    const words = form.elements.text.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    for (const one of findings) {
      const object = one.closest(".object");
      const text = [object.querySelector("h2"), object.querySelector(".where"), one].map((part) => part.textContent).join(" ").toLowerCase();
      const fits = wanted.has(one.dataset.action) && (!rule || one.dataset.rule === rule) && words.every((word) => text.includes(word));
      one.hidden = !fits;
      count += fits;
    }
    const filtered = count < findings.length;
    for (const object of document.querySelectorAll(".object")) {
      object.hidden = filtered && !object.querySelector(".finding:not([hidden])");
    }
    form.elements.count.textContent = filtered ? count + " of " + findings.length + " findings" : "";
  }

  if (form && findings.length > 1) {
    form.hidden = false;
    form.addEventListener("input", show);
    form.addEventListener("submit", (event) => event.preventDefault());
    show();
  }
  for (const button of document.querySelectorAll(".copy")) {
    button.hidden = false;
    button.addEventListener("click", async () => {
      const code = button.previousElementSibling;
      try {
        await navigator.clipboard.writeText(code.textContent);
        button.textContent = "Copied";
      } catch (error) { // a page from a file may not write the clipboard: the command is marked to be copied by hand
        getSelection().selectAllChildren(code);
        button.textContent = "Press Ctrl+C";
      }
      setTimeout(() => { button.textContent = "Copy"; }, 2000);
    });
  }
  addEventListener("beforeprint", () => { for (const one of findings) { one.open = true; } });
})();
