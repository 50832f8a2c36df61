// Start. The table is made first; the plots follow when they come into view.

fillFilters();
buildTable();
showOrder();
applyFilters();
watchPlots();

byId("filters").addEventListener("submit", (event) => event.preventDefault());
for (const filter of Object.values(filters)) filter.select.addEventListener("change", applyFilters);
byId("filter-name").addEventListener("input", applyFilters);
byId("decoded-only").addEventListener("change", (event) => showDecodedOnly(event.target.checked));
byId("clear-filters").addEventListener("click", clearFilters);
byId("tray-clear").addEventListener("click", clearChoice);
byId("plot-board").addEventListener("change", (event) => {
  state.pickedBoard = state.plotBoard = boards[Number(event.target.value)];
  refreshPlots();
});
