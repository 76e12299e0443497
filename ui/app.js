// The script of Headwind's web UI: what htmx does not do. No dependencies, no eval, nothing inline.
(() => {
  "use strict";
  const $ = (selector, root = document) => root.querySelector(selector);
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const dialog = $("#dialog"), toasts = $("#toasts");

  // ---- Times: the server's clock is authoritative. The texts are kept up to date; the title shows local time.
  const skew = Date.parse(document.documentElement.dataset.now) - Date.now() || 0;
  const words = (at) => {
    const s = Math.round((at - Date.now() - skew) / 1000), n = Math.abs(s);
    const text = n < 45 ? "" : n < 5400 ? `${Math.round(n / 60)} min` : s > 0 && n < 10800 ? `${Math.floor(n / 3600)} h ${Math.floor((n % 3600) / 60)} min` : n < 172800 ? `${Math.floor(n / 3600)} h` : `${Math.floor(n / 86400)} d`;
    return !text ? "just now" : s < 0 ? `${text} ago` : `in ${text}`;
  };
  const times = (root = document) => all("time[datetime]", root).forEach((one) => {
    const at = Date.parse(one.dateTime), text = words(at);
    if (!("exact" in one.dataset) && one.textContent !== text) one.textContent = text;
    if (!one.dataset.local) { one.dataset.local = "1"; one.title = `${new Date(at).toLocaleString()} (${one.dateTime.slice(0, 16).replace("T", " ")} UTC)`; }
  });
  setInterval(times, 30_000);

  // ---- Toasts: success disappears after three seconds, but not while it is hovered or focused. Errors stay.
  const leave = (one) => {
    if (one.dataset.timed || "stay" in one.dataset) return;
    one.dataset.timed = "1";
    let timer;
    const start = () => { timer = setTimeout(() => one.remove(), 3000); }, stop = () => clearTimeout(timer);
    one.addEventListener("pointerenter", stop); one.addEventListener("pointerleave", start);
    one.addEventListener("focusin", stop); one.addEventListener("focusout", start);
    start();
  };
  const toast = (tone, text, stay) => {
    if (!toasts) return;
    const same = all(".toast-one", toasts).find((one) => one.firstChild.textContent === text);
    if (same && stay) return;
    same?.remove();
    const one = document.createElement("div");
    one.className = `toast-one tone-${tone}`;
    if (stay) one.dataset.stay = "";
    one.append(Object.assign(document.createElement("span"), { textContent: text }));
    const close = Object.assign(document.createElement("button"), { type: "button", className: "btn btn-quiet btn-xs", textContent: "×" });
    close.setAttribute("aria-label", "Dismiss"); close.dataset.dismiss = "";
    one.append(close); toasts.append(one); leave(one);
  };
  if (toasts) new MutationObserver(() => all(".toast-one", toasts).forEach(leave)).observe(toasts, { childList: true });

  // ---- Copy: the clipboard API exists only over HTTPS and on localhost. Over plain HTTP a text area is used.
  const put = async (text) => {
    if (navigator.clipboard) return navigator.clipboard.writeText(text);
    const had = document.activeElement, box = Object.assign(document.createElement("textarea"), { value: text, className: "sr-only" });
    (dialog?.open ? dialog : document.body).append(box); box.select();
    const done = document.execCommand("copy");
    box.remove(); had?.focus();
    if (!done) throw new Error("refused");
  };

  // ---- Dialog: opens when htmx has filled it, and is emptied when it closes. The browser restores the focus.
  // While it is open, nothing outside of it can be seen or reached, so the toasts move into it.
  const settle = () => { const place = dialog?.open ? dialog : document.body; if (toasts && toasts.parentNode !== place) place.append(toasts); };
  const open = () => { if (!dialog.open) dialog.showModal(); settle(); (dialog.querySelector("[autofocus]") ?? dialog.querySelector("button, input"))?.focus(); };
  dialog?.addEventListener("close", () => { settle(); dialog.replaceChildren(); });
  dialog?.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  const counted = () => {
    const waiting = parseInt($("#nav-waiting")?.textContent ?? "0", 10) || 0, plain = document.title.replace(/^\(\d+\) /, "");
    if (/Dashboard/.test(plain)) document.title = waiting > 0 ? `(${waiting}) ${plain}` : plain;
  };
  document.addEventListener("htmx:beforeSwap", (event) => { if (event.target === dialog && toasts?.parentNode === dialog && event.detail.shouldSwap) document.body.append(toasts); });
  document.addEventListener("htmx:afterSwap", (event) => {
    if (event.target === dialog && dialog.firstElementChild) open();
    times(event.target);
  });
  // The rows were made before Kubernetes stopped responding. When it responds, the server tells the page to read them again.
  const down = () => {
    const why = $("#banner [data-down]")?.dataset.down;
    if (why) all("#list .acts button").forEach((one) => { one.disabled = true; one.title = one.parentNode.title = why; });
  };
  document.addEventListener("htmx:sseMessage", () => { counted(); down(); });
  document.addEventListener("htmx:oobAfterSwap", counted);
  document.addEventListener("dialog:close", () => dialog.close()); // by the response header HX-Trigger

  // ---- Clean addresses: empty parameters are not sent.
  document.addEventListener("htmx:configRequest", (event) => {
    if (event.detail.verb !== "get") return;
    for (const [key, value] of [...event.detail.formData.entries()]) if (value === "") event.detail.formData.delete(key);
  });

  // ---- Failed requests: the message stays until it is dismissed. If the answer to an action is lost, nobody knows whether
  // the action took effect.
  const lost = (event) => {
    if (event.detail.requestConfig.verb === "get") { toast("bad", "The page could not be updated. Headwind does not respond.", true); return; }
    const text = "Headwind did not respond. The action may have taken effect. Reload the page before you try again.";
    const form = dialog?.open && $("form", dialog);
    if (!form) { toast("bad", text, true); return; }
    $("[data-lost]", form)?.remove();
    const one = Object.assign(document.createElement("p"), { className: "hint tone-bad text-tone mt-3", textContent: text });
    one.setAttribute("role", "alert"); one.dataset.lost = "";
    form.insertBefore(one, $(".modal-action", form));
  };
  document.addEventListener("htmx:sendError", lost);
  document.addEventListener("htmx:responseError", (event) => {
    const { status } = event.detail.xhr;
    if (status === 502 || status === 504) lost(event); // a proxy answered in place of Headwind
    else if (status !== 401) toast("bad", `Action failed: the server returned ${status}.`, true);
  });

  // ---- Rows: the focus survives swaps, also of the row below an open dialog. A changed row is marked for a moment.
  let here = null; // the id of the row that has the focus, or had it before a dialog opened
  const rowOf = (one) => one?.closest("[id^=u-], #detail")?.id ?? null;
  const note = (event, one) => { if (!dialog?.contains(event.target)) here = rowOf(one); };
  document.addEventListener("focusin", (event) => note(event, event.target));
  // Safari gives a button no focus when it is clicked. A click beside the controls takes the focus away.
  document.addEventListener("click", (event) => note(event, event.target.closest("a, button, input")), true);
  const back = () => {
    if (dialog?.open || (document.activeElement ?? document.body) !== document.body) return;
    if (here) document.getElementById(here)?.querySelector(".name, h1")?.focus({ preventScroll: true });
  };
  dialog?.addEventListener("close", back);
  document.addEventListener("htmx:afterSettle", (event) => {
    const row = event.target.closest?.("[id^=u-]") ?? (event.detail.elt.id?.startsWith("u-") && document.getElementById(event.detail.elt.id));
    if (row) row.classList.add("fresh");
    back();
    picked();
  });

  // ---- Selection
  let anchor = null;
  const boxes = () => all("#list [name=u]");
  const picked = () => { const n = boxes().filter((one) => one.checked).length, out = $("#picked"); if (out) out.value = `${n} selected`; };
  document.addEventListener("click", (event) => {
    const box = event.target.closest("#list [name=u]");
    if (box) {
      const list = boxes();
      if (event.shiftKey && anchor) { const [a, b] = [list.indexOf(anchor), list.indexOf(box)].sort((x, y) => x - y); list.slice(a, b + 1).forEach((one) => { one.checked = box.checked; }); }
      anchor = box; picked();
    }
    const copy = event.target.closest("[data-copy]");
    if (copy) put(copy.dataset.copy).then(() => toast("calm", "Copied"), () => toast("bad", "The browser does not allow this page to copy.", true));
    if (event.target.closest("[data-dismiss]")) event.target.closest(".toast-one").remove();
    if (dialog?.open && event.target.closest("[data-close]")) { event.preventDefault(); dialog.close(); }
    if (event.target.closest("[data-help]")) help();
    const me = $("#me[open]"); if (me && !me.contains(event.target)) me.open = false;
  });
  document.addEventListener("reset", () => setTimeout(picked));

  // ---- Preferences: the server writes them into the page from cookies. Here they take effect at once.
  const keep = (name, value) => { document.cookie = `${name}=${value}; path=/; max-age=31536000; samesite=strict`; };
  document.addEventListener("change", (event) => {
    const { name, value, id, checked } = event.target, root = document.documentElement;
    if (name === "theme") {
      if (value === "system") root.removeAttribute("data-theme"); else root.dataset.theme = value;
      keep("theme", value);
    }
    if (name === "density") { root.dataset.density = value; keep("density", value); }
    if (id === "keys-on" || name === "keys") keep("keys", checked ? "on" : "off");
  });

  // ---- Keys: letters act only inside a row, on the row that has the focus. All can be turned off (WCAG 2.1.4).
  const help = () => { dialog.replaceChildren($("#help").content.cloneNode(true)); $("#keys-on", dialog).checked = keysOn(); open(); };
  const keysOn = () => !document.cookie.includes("keys=off");
  const rows = () => all("#list .name");
  let g = 0;
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && $("#me[open]")) { $("#me").open = false; $("#me summary").focus(); }
    if (event.key === " " && event.target.matches("a[role=button]")) { event.preventDefault(); event.target.click(); return; }
    if (event.key === "Escape" && document.activeElement?.matches(".ref")) document.activeElement.blur();
    if (!dialog || event.ctrlKey || event.metaKey || event.altKey || dialog.open || !keysOn() || event.target.matches("input:not([type=checkbox]):not([type=radio]), textarea, select")) return;
    const row = document.activeElement?.closest("[id^=u-], tr"), list = rows(), at = row ? list.indexOf($(".name", row)) : -1;
    const to = { d: "/", u: "/updates", w: "/workloads", o: "/observability", s: "/settings" }[event.key];
    const act = {
      "/": () => { const q = $("#q"); q?.focus(); q?.select(); }, "?": help, g: () => { g = Date.now(); },
      j: () => list[Math.min(at + 1, list.length - 1)]?.focus(), k: () => list[Math.max(at - 1, 0)]?.focus(),
      x: () => row && $("[name=u]", row)?.click(), X: () => row && $("[name=u]", row)?.dispatchEvent(new MouseEvent("click", { bubbles: true, cancelable: true, shiftKey: true })), a: () => row && $("[id^=a-]", row)?.click(), r: () => row && $("[id^=r-]", row)?.click(),
    }[event.key];
    if (to && Date.now() - g < 1200) { location.href = to; return; }
    if (act) { event.preventDefault(); act(); }
  });

  // ---- Live updates: the state of the connection is always visible. A browser has six connections for an address, so a
  // hidden page closes its own, and a page that opens in the background has none until it is shown.
  const sign = (state, word) => { const live = $("#live"); if (live) { live.dataset.state = state; $("#live-word").textContent = word; } };
  let source = null, last = "", timer = 0, ended = false, asking = false;
  const none = () => Object.assign(new EventTarget(), { readyState: EventSource.CLOSED, close: () => {} });
  if (window.htmx) htmx.createEventSource = (url) => {
    if (ended) return source = none();
    if (document.hidden) { sign("away", "Paused"); return source = none(); }
    source = new EventSource(last ? `${url}${url.includes("?") ? "&" : "?"}last=${encodeURIComponent(last)}` : url);
    const remember = (event) => { if (event.lastEventId) last = event.lastEventId; };
    for (const kind of ["hello", "news", "counts", "resync"]) source.addEventListener(kind, remember);
    return source;
  };
  // A stream has no status. If the server refuses it, the status of a page says whether the session has ended.
  const refused = async () => {
    if (asking) return;
    asking = true;
    try { ended = (await fetch("/", { cache: "no-store" })).status === 401; } catch { /* the server does not respond */ }
    asking = false;
    if (!ended) return;
    clearTimeout(timer);
    source?.close();
    sign("lost", "Signed out");
    const banner = $("#ended").content.cloneNode(true);
    $("a", banner).href = `/login?next=${encodeURIComponent(location.pathname + location.search)}`;
    $("#banner").replaceChildren(banner);
  };
  document.addEventListener("htmx:sseOpen", () => { if (!ended) sign("live", $("#live").dataset.open ?? "Live"); });
  document.addEventListener("htmx:sseError", ({ detail }) => {
    if (ended) return;
    sign("lost", "Reconnecting");
    if (detail.error && detail.source.readyState === EventSource.CLOSED) refused(); // without an error, the page was hidden
  });
  document.addEventListener("visibilitychange", () => {
    clearTimeout(timer);
    if (ended) return;
    if (document.hidden) timer = setTimeout(() => { source?.close(); sign("away", "Paused"); }, 3000);
    else if (source?.readyState === EventSource.CLOSED) source.onerror(); // reconnects; without an event, nothing is logged
  });

  times(); counted();
})();
