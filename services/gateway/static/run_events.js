// A run's event stream, kept open until the run is done. What it says of the connection is what is so at this moment.

import { eventsPath } from "./api.js";

const SILENCE = 35_000; // milliseconds: two heartbeats missed, so the connection is dead though no error fired
const FIRST_PAUSE = 1_000;
const LONGEST_PAUSE = 10_000;
const UNSEEN = 5_000; // a page nobody sees lets go of its connection: a browser has only six for all its tabs
const NAMES = ["hello", "snapshot", "run", "accepted", "duplicate", "settled", "reset", "hb", "bye", "done"];
const LOGGED = ["accepted", "duplicate", "settled"]; // each comes once, with an id that says where it is in the log

export class RunEvents {
  // `handlers` has a function for each event by its name, and `connection(state)`: connecting, live, waiting or ended.
  constructor(run, handlers) {
    this.run = run;
    this.handlers = handlers;
    this.lastId = "";
    this.pause = FIRST_PAUSE;
    this.closed = false;
    this.onVisibility = () => this.seen();
    document.addEventListener("visibilitychange", this.onVisibility);
    this.open();
  }

  open() {
    const query = this.lastId ? { duplicates: 1, last_id: this.lastId } : { duplicates: 1 };
    this.handlers.connection(this.lastId ? "waiting" : "connecting");
    this.source = new EventSource(eventsPath(this.run, query));
    this.source.onopen = () => {
      this.pause = FIRST_PAUSE;
      this.handlers.connection("live");
      this.heard();
    };
    this.source.onerror = () => this.lost();
    for (const name of NAMES) this.source.addEventListener(name, (event) => this.take(name, event));
    this.heard();
  }

  take(name, event) {
    this.heard();
    if (LOGGED.includes(name)) {
      if (this.had(event.lastEventId)) return;
      this.lastId = event.lastEventId;
    } else if (name === "reset") this.lastId = "";
    this.handlers[name]?.(JSON.parse(event.data));
    if (name === "done") this.end();
  }

  // Ids are "<log>-<place>". Behind a proxy that strips Last-Event-ID, a connection that broke begins again with the first event.
  had(id) {
    const [log, place] = id.split("-");
    const [lastLog, lastPlace] = this.lastId.split("-");
    return log === lastLog && Number(place) <= Number(lastPlace);
  }

  end() {
    this.close();
    this.handlers.connection("ended");
  }

  // The browser comes back by itself after a broken connection, but gives up for good after any answer other than a stream.
  lost() {
    if (this.closed) return;
    this.handlers.connection("waiting");
    if (this.source.readyState === EventSource.CLOSED) this.reopen(this.pause);
  }

  reopen(pause) {
    this.source.close();
    clearTimeout(this.silence);
    this.silence = setTimeout(() => this.open(), pause);
    this.pause = Math.min(this.pause * 2, LONGEST_PAUSE);
  }

  heard() {
    clearTimeout(this.silence);
    if (!this.closed) this.silence = setTimeout(() => { this.lost(); this.reopen(0); }, SILENCE);
  }

  seen() {
    clearTimeout(this.unseen);
    if (this.closed) return;
    if (document.hidden) {
      this.unseen = setTimeout(() => { this.source.close(); clearTimeout(this.silence); this.asleep = true; }, UNSEEN);
    } else if (this.asleep) {
      this.asleep = false;
      this.open();
    }
  }

  close() {
    this.closed = true;
    clearTimeout(this.silence);
    clearTimeout(this.unseen);
    document.removeEventListener("visibilitychange", this.onVisibility);
    this.source.close();
  }
}
