extension Page {
    static let script = #"""
        "use strict";
        const period = 2000, longest = 900;
        const $ = id => document.getElementById(id);
        let samples = [], span = 300, paused = false, asksRefusals = true, place = "";

        function size(bytes) {
          const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
          let unit = 0;
          while (bytes >= 1024 && unit < units.length - 1) { bytes /= 1024; unit += 1; }
          const digits = unit === 0 || bytes >= 100 ? 0 : bytes >= 10 ? 1 : 2;
          return `${Number(bytes.toFixed(digits))} ${units[unit]}`;
        }
        function percent(used, limit) {
          return limit > 0 ? Math.min(100, used / limit * 100) : 0;
        }
        function share(used, limit) {
          const part = percent(used, limit);
          return `${part > 0 && part < 0.1 ? "< 0.1" : part.toFixed(part < 10 ? 1 : 0)} %`;
        }
        function level(part) { return part >= 95 ? "bad" : part >= 80 ? "warn" : ""; }
        function long(seconds) {
          if (seconds < 120) return `${seconds} s`;
          if (seconds < 7200) return `${Math.floor(seconds / 60)} min`;
          return seconds < 172800 ? `${Math.floor(seconds / 3600)} h` : `${Math.floor(seconds / 86400)} days`;
        }
        // All text goes in as text: names are whatever users make them.
        function make(tag, text, name, role) {
          const element = document.createElement(tag);
          if (text !== undefined) element.textContent = text;
          if (name) element.className = name;
          if (role) element.setAttribute("role", role);
          return element;
        }
        function bar(used, limit, label) {
          const part = percent(used, limit), box = make("div", undefined, "bar " + level(part), "meter");
          fill(box, used, limit, label);
          return box;
        }
        function fill(box, used, limit, label) {
          const part = percent(used, limit);
          box.className = "bar " + level(part);
          if (!box.firstChild) box.append(make("i"));
          box.firstChild.style.width = `${part}%`;
          const values = { label, valuenow: Math.min(used, limit), valuemin: 0, valuemax: limit,
            valuetext: `${size(used)} of ${size(limit)}` };
          for (const key in values) box.setAttribute("aria-" + key, values[key]);
        }

        function draw() {
          const graph = $("graph"), width = graph.clientWidth, height = graph.clientHeight;
          const now = Date.now() / 1000, begin = now - span;
          const shown = samples.filter((s, index) => s[0] >= begin || samples[index + 1]?.[0] >= begin);
          if (!width || !shown.length) return;
          const top = Math.max(1, ...shown.map(s => Math.max(s[1], s[2]))) * 1.02;
          const low = height - 20, x = t => Math.max(0, (t - begin) / span * width);
          const y = v => low - v / top * (low - 6);
          const add = (tag, attributes, text) => {
            const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
            for (const key in attributes) element.setAttribute(key, attributes[key]);
            if (text !== undefined) element.textContent = text;
            graph.append(element);
          };
          graph.replaceChildren();
          graph.setAttribute("viewBox", `0 0 ${width} ${height}`);
          const limit = shown[shown.length - 1][2];
          for (const part of [0, 0.5, 1]) {
            add("path", { class: "grid", d: `M0 ${y(limit * part)}H${width}` });
          }
          // Where nothing was heard for a while there is a gap.
          let pieces = [[]];
          for (const sample of shown) {
            const piece = pieces[pieces.length - 1], last = piece[piece.length - 1];
            if (last && sample[0] - last[0] > period / 1000 * 4) pieces.push([sample]);
            else piece.push(sample);
          }
          for (const piece of pieces) {
            const line = piece.map(s => `${x(s[0]).toFixed(1)} ${y(s[1]).toFixed(1)}`).join("L");
            const ends = [x(piece[0][0]), x(piece[piece.length - 1][0])];
            add("path", { class: "area", d: `M${ends[0]} ${low}L${line}L${ends[1]} ${low}Z` });
            add("path", { class: "line", d: "M" + line });
            let step = "", before;
            for (const s of piece) {
              step += before === undefined ? `M${x(s[0])} ${y(s[2])}` : `H${x(s[0])}V${y(s[2])}`;
              before = s[2];
            }
            add("path", { class: "top", d: step });
          }
          add("text", { x: 3, y: y(limit) + 14 }, size(limit));
          add("text", { x: 3, y: y(limit / 2) - 4 }, size(limit / 2));
          add("text", { x: 0, y: height - 4 }, `${span / 60} min ago`);
          add("text", { x: width, y: height - 4, "text-anchor": "end" }, "now");
          const used = shown.map(s => s[1]);
          graph.setAttribute("aria-label", `Use over the last ${span / 60} minutes: from ` +
            `${size(Math.min(...used))} to ${size(Math.max(...used))}, of ${size(limit)}`);
        }

        function showStatus(status) {
          if (place !== status.mountpoint) {
            place = status.mountpoint;
            document.title = `${place} – dmemfs`;
            restore();
          }
          samples.push([Date.now() / 1000, status.used_bytes, status.limit_bytes]);
          samples = samples.filter(s => s[0] > Date.now() / 1000 - longest - 10);
          try { sessionStorage.setItem(place, JSON.stringify(samples)); } catch { /* only nicer with it */ }
          $("mountpoint").textContent = place;
          $("about").textContent = `version ${status.version}, engine ${status.engine}, storage ` +
            `${status.storage}, process ${status.pid}, up ${long(status.uptime_seconds)}`;
          $("used").textContent = size(status.used_bytes);
          $("limit").textContent = size(status.limit_bytes);
          $("share").textContent = share(status.used_bytes, status.limit_bytes);
          $("share").className = "badge " + level(percent(status.used_bytes, status.limit_bytes));
          fill($("bar"), status.used_bytes, status.limit_bytes, "Bytes in use");
          const nodes = `${status.nodes}` + (status.max_nodes === null ? "" : ` of ${status.max_nodes}`);
          const figures = [["Data", size(status.data_bytes)], ["Metadata", size(status.metadata_bytes)],
            ["Free", size(status.free_bytes)], ["Peak", size(status.peak_bytes)], ["Nodes", nodes],
            ["Most nodes", status.peak_nodes],
            ["Open but deleted", size(status.open_unlinked_bytes)],
            ["Resident", size(status.resident_bytes)]];
          $("figures").replaceChildren(...figures.map(([name, value]) => {
            const pair = make("div");
            pair.append(make("dt", name), make("dd", value));
            return pair;
          }));
          const frozen = status.frozen;
          $("frozen").hidden = frozen === null;
          if (frozen !== null) {
            const until = new Date(frozen.until * 1000).toLocaleTimeString(), count = frozen.parked_requests;
            $("frozen").textContent = `Frozen until ${until} by user ${frozen.user}: ` +
              `${count} ${count === 1 ? "request waits" : "requests wait"}.`;
          }
          const guard = status.guard, spare = guard.available_bytes;
          $("guard").className = guard.tripped ? "alarm" : "";
          $("guard").textContent = guard.mode === "none" ? "Not watching."
            : guard.tripped ? "Refusing growth: the machine is short of memory."
            : `Watching (${guard.mode}, ${guard.action}); ` +
              (spare === null ? "no figure yet." : `${size(spare)} are there to grow into.`);
          const counts = Object.entries(status.refusals).filter(([, count]) => count > 0);
          const list = make("ul", undefined, "counts");
          for (const [kind, count] of counts) {
            const item = make("li");
            item.append(make("span", kind), make("strong", count));
            list.append(item);
          }
          $("counts").replaceChildren(counts.length ? list : make("span", "Nothing.", "none"));
        }

        function cell(tag, ...content) {
          const element = make(tag, undefined, "", tag === "th" ? "rowheader" : "cell");
          if (tag === "th") element.scope = "row";
          element.append(...content);
          return element;
        }
        function rows(table, note, items, empty, row) {
          $(note).textContent = items.length ? "" : empty;
          $(note).hidden = items.length > 0;
          $(table).hidden = items.length === 0;
          $(table).tBodies[0].replaceChildren(...items.map(item => {
            const line = make("tr", undefined, "", "row");
            line.append(...row(item));
            return line;
          }));
        }

        function showQuotas(table, quotas, count, empty, name) {
          const note = `${table}-note`;
          rows(table, note, quotas, empty, quota => {
            const limit = quota.max_bytes, nodes = quota.max_nodes;
            const most = limit === null ? ", no limit" : ` of ${size(limit)}`;
            const use = [size(quota.used_bytes), make("span", most, "faint")];
            if (limit !== null) use.push(bar(quota.used_bytes, limit, name(quota)));
            const unit = nodes !== null ? ` of ${nodes} nodes` : quota.used_nodes === 1 ? " node" : " nodes";
            return [cell("th", name(quota)), cell("td", ...use),
              cell("td", `${quota.used_nodes}`, make("span", unit, "faint"))];
          });
          if (quotas.length && count > quotas.length) {
            $(note).hidden = false;
            $(note).textContent = `The largest ${quotas.length} of ${count}.`;
          }
        }
        function showLargest(list) {
          showQuotas("directories", list.quotas, list.count, "None: dmemfs quota set gives one.",
            quota => quota.directory);
          $("users-card").hidden = list.user_count === 0;
          showQuotas("users", list.users, list.user_count, "", quota => `user ${quota.user}`);
        }

        function showRefusals(list) {
          $("refusals-card").hidden = false;
          const figure = (item, value) => item.unit === "nodes" ? `${value} nodes` : size(value);
          rows("refusals", "refusals-note", [...list.refusals].reverse(), "None.", item => {
            const time = new Date(item.last_time * 1000).toLocaleTimeString();
            const times = item.count > 1 ? ` (${item.count} times)` : "";
            const what = `${item.operation} ${item.path ?? "(name unknown)"}`;
            const who = item.user === null ? "unknown"
              : `user ${item.user}` + (item.command ? `, ${item.command}` : "") +
                (item.pid === null ? "" : ` (${item.pid})`);
            const why = [item.limit_directory !== null ? `quota of ${item.limit_directory}`
              : item.limit_user !== null ? `limit of user ${item.limit_user}` : item.kind];
            if (item.asked !== null) why.push(`asked ${figure(item, item.asked)}`);
            if (item.free !== null) why.push(`free ${figure(item, item.free)}`);
            return [cell("td", time, make("span", times, "faint")),
              cell("td", what, make("span", ` ${item.errno}`, "faint")), cell("td", who),
              cell("td", why.join(", "))];
          });
        }

        function restore() {
          try { samples = JSON.parse(sessionStorage.getItem(place) ?? "[]"); } catch { samples = []; }
          if (!Array.isArray(samples)) samples = [];
        }
        async function ask(path) {
          const answer = await fetch(path, { cache: "no-store", signal: AbortSignal.timeout(5000) });
          if (answer.ok) return answer.json();
          if (answer.status === 404) return null;
          throw new Error(`status ${answer.status}`);
        }
        function tell(state, text) {
          document.body.className = state;
          if ($("state").textContent !== text) $("state").textContent = text;
        }
        let heard = "";
        async function round() {
          try {
            const [status, largest, refusals] = await Promise.all([ask("v1/status"),
              ask("v1/largest?n=20"), asksRefusals ? ask("v1/refusals?last=20") : null]);
            if (paused) return;
            showStatus(status);
            if (largest) showLargest(largest);
            if (refusals) showRefusals(refusals); else asksRefusals = false;
            draw();
            heard = new Date().toLocaleTimeString();
            tell("live", "live");
          } catch {
            if (!paused) tell("dead", heard ? `no answer since ${heard}: is it unmounted?` : "no answer");
          }
        }
        async function run() {
          if (!paused) await round();
          setTimeout(run, period);
        }
        $("pause").addEventListener("click", () => {
          paused = !paused;
          $("pause").textContent = paused ? "Go on" : "Pause";
          tell("", paused ? "paused" : "asking");
        });
        for (const choice of document.querySelectorAll("[name=span]")) {
          choice.addEventListener("change", () => { span = Number(choice.value); draw(); });
          if (choice.checked) span = Number(choice.value);
        }
        new ResizeObserver(draw).observe($("graph"));
        run();
        """#
}
