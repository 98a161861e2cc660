"use strict";
(() => {
  const told = document.getElementById("charts");
  const charts = told ? JSON.parse(told.textContent) : [];
  const views = [];
  const state = {};

  const describe = (chart) => {
    const figure = document.getElementById(chart.id);
    const key = chart.switches.map((name) => state[chart.group][name]).join("|");
    const words = chart.findings[key];
    if (!figure || words === undefined) return;
    figure.querySelector("figcaption").textContent = words;
    figure.querySelector(".live").setAttribute("aria-label", words);
  };

  const apply = (group) => {
    const now = state[group];
    for (const panel of document.querySelectorAll(".panel")) {
      if (panel.dataset.group !== group) continue;
      panel.hidden = Object.entries(now).some(([name, value]) => name in panel.dataset && panel.dataset[name] !== value);
    }
    for (const { chart, view } of views) {
      if (chart.group !== group) continue;
      for (const name of chart.switches) view.signal(name, now[name]);
      view.runAsync();
      describe(chart);
    }
  };

  for (const box of document.querySelectorAll(".switches")) {
    const group = box.dataset.group;
    state[group] = {};
    for (const input of box.querySelectorAll("input")) if (input.checked) state[group][input.dataset.name] = input.value;
    for (const set of box.querySelectorAll("fieldset")) set.hidden = set.querySelectorAll("input").length < 2;
    box.hidden = false;
    box.addEventListener("change", (event) => {
      state[group][event.target.dataset.name] = event.target.value;
      apply(group);
    });
    apply(group);
  }

  const options = {
    mode: "vega-lite", ast: true, actions: false, renderer: "svg", defaultStyle: false,
    tooltip: { disableDefaultStyle: true }, loader: { load: () => Promise.reject(new Error("nothing is loaded")) },
  };
  const show = async (chart) => {
    const figure = document.getElementById(chart.id);
    const place = figure.querySelector(".live");
    place.hidden = false;
    try {
      const { view } = await vegaEmbed(place, chart.spec, options);
      views.push({ chart, view });
      figure.classList.add("is-live");
      if (chart.group) apply(chart.group);
    } catch (error) {
      place.hidden = true;
      console.error(error);
    }
  };
  (async () => { for (const chart of charts) await show(chart); })();

  addEventListener("beforeprint", () => { for (const box of document.querySelectorAll("details")) box.open = true; });
})();
