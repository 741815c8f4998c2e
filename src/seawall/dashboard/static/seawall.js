// Tells the page's live part, by an event that htmx waits for, that something has changed.
"use strict";

(() => {
  const topics = new Set((document.body.dataset.topics || "").split(" ").filter(Boolean));
  const state = document.getElementById("live-state");
  if (!topics.size || !state || !window.EventSource) return;

  let source = null;
  let missed = false; // something may have changed while nobody listened

  const say = (text, isLive) => {
    if (state.textContent !== text) state.textContent = text;
    state.classList.toggle("is-live", isLive);
  };

  const hear = (event) => {
    const told = event.data.split(" ");
    if (told.includes("up")) say("Live", true);
    if (told.includes("down")) say("Waiting for the database", false);
    if (told.some((topic) => topics.has(topic))) document.body.dispatchEvent(new Event("changed"));
  };

  const open = () => {
    if (source) return;
    source = new EventSource(document.body.dataset.live);
    source.addEventListener("changed", hear);
    source.addEventListener("open", () => {
      if (missed) document.body.dispatchEvent(new Event("changed"));
      missed = false;
    });
    source.addEventListener("error", () => {
      missed = true;
      const isOver = source.readyState === EventSource.CLOSED;
      say(isOver ? "Not live: load the page again" : "Connecting again", false);
    });
  };

  const close = () => {
    if (source) source.close();
    source = null;
    missed = true;
  };

  // A page that nobody sees holds no connection: a browser has few for one host.
  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  window.addEventListener("pagehide", close);
  window.addEventListener("pageshow", open);
  if (!document.hidden) open();
})();
