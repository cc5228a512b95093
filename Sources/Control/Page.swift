/// The page for the eyes: what a mount holds, live, in a browser. One document that asks for nothing beyond
/// the server that it came from.
enum Page {
    static let bytes = Array(document.utf8)

    /// The browser is held to what the page needs.
    private static let policy = [
        "default-src 'none'", "style-src 'unsafe-inline'", "script-src 'unsafe-inline'", "connect-src 'self'",
        "img-src data:", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'",
    ]

    static let headers = [
        "Content-Security-Policy: \(policy.joined(separator: "; "))", "X-Content-Type-Options: nosniff",
        "Referrer-Policy: no-referrer",
    ]

    private static let document = #"""
        <!doctype html>
        <html lang="en">
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <meta name="color-scheme" content="light dark">
        <title>dmemfs</title>
        <link rel="icon" href="data:,">
        <style>\#(style)</style>
        <a class="skip" href="#main">To the figures</a>
        <header>
        <h1>dmemfs <span id="mountpoint"></span></h1>
        <p id="about"></p>
        <p id="live" role="status"><span class="dot" aria-hidden="true"></span>
        <span id="state">asking</span></p>
        <button id="pause" type="button">Pause</button>
        </header>
        <noscript><p class="card">This page needs JavaScript; <a href="/metrics">/metrics</a> does not.</p>
        </noscript>
        <p id="frozen" class="card alarm" role="status" hidden></p>
        <main id="main" tabindex="-1">
        <section class="card" aria-labelledby="use-title">
        <h2 id="use-title">Use</h2>
        <p class="headline"><strong id="used">–</strong> of <span id="limit">–</span>
        <span id="share" class="badge"></span></p>
        <div id="bar" class="bar" role="meter" aria-label="Bytes in use" aria-valuemin="0"><i></i></div>
        <div class="graph">
        <svg id="graph" role="img" aria-label="Use against the limit"></svg>
        <p class="legend" aria-hidden="true"><span class="key used">used</span>
        <span class="key limit">limit</span></p>
        <fieldset><legend>Span of the graph</legend>
        <label><input type="radio" name="span" value="60">1 min</label>
        <label><input type="radio" name="span" value="300" checked>5 min</label>
        <label><input type="radio" name="span" value="900">15 min</label>
        </fieldset>
        </div>
        <dl id="figures"></dl>
        </section>
        <div class="side">
        <section class="card" aria-labelledby="guard-title">
        <h2 id="guard-title">Memory guard</h2>
        <p id="guard"></p>
        </section>
        <section class="card" aria-labelledby="counts-title">
        <h2 id="counts-title">Refused since the mount</h2>
        <p id="counts"></p>
        </section>
        </div>
        <section class="card wide" aria-labelledby="directories-title">
        <h2 id="directories-title">Directories with a quota</h2>
        <p id="directories-note"></p>
        <table id="directories" role="table" hidden>
        <thead role="rowgroup"><tr role="row"><th role="columnheader" scope="col">Directory
        <th role="columnheader" scope="col">Use<th role="columnheader" scope="col">Nodes</thead>
        <tbody role="rowgroup"></tbody>
        </table>
        </section>
        <section class="card wide" id="users-card" aria-labelledby="users-title" hidden>
        <h2 id="users-title">Users with a limit</h2>
        <p id="users-note"></p>
        <table id="users" role="table" hidden>
        <thead role="rowgroup"><tr role="row"><th role="columnheader" scope="col">User
        <th role="columnheader" scope="col">Use<th role="columnheader" scope="col">Nodes</thead>
        <tbody role="rowgroup"></tbody>
        </table>
        </section>
        <section class="card wide" id="refusals-card" aria-labelledby="refusals-title" hidden>
        <h2 id="refusals-title">Last refusals</h2>
        <p id="refusals-note"></p>
        <table id="refusals" role="table" hidden>
        <thead role="rowgroup"><tr role="row"><th role="columnheader" scope="col">When
        <th role="columnheader" scope="col">What<th role="columnheader" scope="col">Who
        <th role="columnheader" scope="col">Why</thead>
        <tbody role="rowgroup"></tbody>
        </table>
        </section>
        </main>
        <script>\#(script)</script>
        </html>

        """#
}

extension Endpoint {
    static let page = Endpoint("GET", "/", for: .anyone, reach: .page) { _ in
        Reply("text/html; charset=utf-8", Page.bytes, headers: Page.headers)
    }
}
