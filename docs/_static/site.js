// What scrolls by itself is reached by the keyboard, too.
document.addEventListener("DOMContentLoaded", () =>
  document.querySelectorAll(".table-wrapper, .vs-wide, .cell_output").forEach((area) => {
    if (area.scrollWidth > area.clientWidth) area.tabIndex = 0;
  }));
