extension Page {
    static let style = #"""
        :root { --paper: #f3f4f6; --card: #fff; --ink: #1a1d21; --faint: #5b6470; --line: #d5d9df;
          --use: #1766c2; --fill: #1766c22e; --limit: #b3261e; --good: #17803d; --warn: #8a5200;
          --warnpaper: #fff1d6; --amber: #d98c0a; --bad: #b3261e; --badpaper: #fde3e1; }
        @media (prefers-color-scheme: dark) { :root { --paper: #121519; --card: #1c2127; --ink: #e7eaee;
          --faint: #9aa5b1; --line: #343b44; --use: #6cb0ff; --fill: #6cb0ff33; --limit: #ff8a80;
          --good: #5fd38a; --warn: #f0b866; --amber: #f0b866; --warnpaper: #3a2d12;
          --bad: #ff8a80; --badpaper: #431f1d; } }
        * { box-sizing: border-box; }
        [hidden] { display: none !important; }
        body { margin: 0 auto; padding: 1rem; max-width: 72rem; background: var(--paper); color: var(--ink);
          font: 1rem/1.45 system-ui, sans-serif; font-variant-numeric: tabular-nums; }
        .skip { position: absolute; left: -99rem; }
        .skip:focus { position: static; display: inline-block; margin-bottom: .5rem; }
        :focus-visible { outline: 3px solid var(--use); outline-offset: 2px; border-radius: 4px; }
        main:focus { outline: none; }
        header { display: grid; grid-template-columns: 1fr auto auto; gap: 0 .9rem; align-items: center;
          margin-bottom: .9rem; }
        h1 { font-size: 1.3rem; margin: 0; overflow-wrap: anywhere; }
        #mountpoint { font-weight: 400; }
        #about { grid-row: 2; grid-column: 1 / -1; margin: .15rem 0 0; color: var(--faint);
          font-size: .9rem; }
        #live { margin: 0; color: var(--faint); font-size: .9rem; }
        .dot { display: inline-block; width: .65em; height: .65em; border-radius: 50%; margin-right: .4em;
          background: var(--faint); }
        .live .dot { background: var(--good); }
        .dead .dot { background: var(--bad); }
        .dead #live { color: var(--bad); }
        .dead main { opacity: .6; }
        button { font: inherit; font-size: .9rem; padding: .3rem .9rem; color: var(--ink);
          background: var(--card); border: 1px solid var(--line); border-radius: .5rem; cursor: pointer;
          min-width: 6.2em; }
        button:hover { border-color: var(--use); }
        main { display: grid; gap: .9rem; grid-template-columns: minmax(0, 2.4fr) minmax(0, 1fr);
          align-items: stretch; }
        .card { background: var(--card); border: 1px solid var(--line); border-radius: .75rem;
          padding: .9rem 1.1rem; min-width: 0; }
        .wide { grid-column: 1 / -1; }
        .side { display: grid; gap: .9rem; align-content: start; min-width: 0; }
        h2 { font-size: .8rem; font-weight: 600; letter-spacing: .04em; text-transform: uppercase;
          color: var(--faint); margin: 0 0 .5rem; }
        .card > p { margin: 0; }
        .card > .headline { font-size: 1.15rem; margin-bottom: .5rem; }
        .headline strong { font-size: 1.9rem; line-height: 1.1; }
        .badge { font-size: .85rem; padding: .1rem .55rem; border-radius: 1rem; background: var(--fill);
          margin-left: .3rem; white-space: nowrap; }
        .badge.warn { background: var(--warnpaper); color: var(--warn); }
        .badge.bad { background: var(--badpaper); color: var(--bad); }
        .bar { height: .6rem; border-radius: .3rem; background: var(--fill); overflow: hidden; }
        .bar > i { display: block; height: 100%; width: 0; background: var(--use); }
        .bar.warn > i { background: var(--amber); }
        .bar.bad > i { background: var(--bad); }
        .graph { margin: 1rem 0 .3rem; }
        svg { display: block; width: 100%; height: 13rem; overflow: visible; }
        svg text { fill: var(--faint); font-size: 11.5px; }
        .grid { stroke: var(--line); fill: none; }
        .area { fill: var(--fill); }
        .line { stroke: var(--use); stroke-width: 2; fill: none; stroke-linejoin: round; }
        .top { stroke: var(--limit); stroke-width: 1.5; stroke-dasharray: 6 4; fill: none; }
        .legend { display: inline-flex; gap: 1rem; margin: .4rem 1rem 0 0; font-size: .85rem;
          color: var(--faint); }
        .key::before { content: ""; display: inline-block; width: 1.2em; margin-right: .4em;
          vertical-align: middle; border-top: 2px solid var(--use); }
        .key.limit::before { border-top: 2px dashed var(--limit); }
        fieldset { display: inline-flex; flex-wrap: wrap; gap: .2rem .9rem; border: 0; margin: .4rem 0 0;
          padding: 0; font-size: .85rem; float: right; }
        legend { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
        label { display: inline-flex; align-items: center; gap: .3rem; cursor: pointer; }
        input { accent-color: var(--use); margin: 0; }
        dl { display: grid; grid-template-columns: repeat(4, minmax(0, 1fr)); gap: .7rem 1rem;
          margin: .9rem 0 0; clear: both; }
        dt { color: var(--faint); font-size: .85rem; }
        dd { margin: 0; font-weight: 600; }
        table { border-collapse: collapse; width: 100%; }
        th { text-align: left; font-size: .85rem; font-weight: 500; color: var(--faint); }
        th, td { padding: .4rem 1rem .4rem 0; border-top: 1px solid var(--line); vertical-align: top; }
        thead th { border-top: 0; padding-top: 0; }
        tbody th { font-size: 1rem; font-weight: 600; color: inherit; overflow-wrap: anywhere; }
        td { overflow-wrap: anywhere; }
        :is(#directories, #users) th:first-child { width: 34%; }
        :is(#directories, #users) :is(td, th):last-child { text-align: right; padding-right: 0;
          white-space: nowrap; }
        #refusals td:first-child { white-space: nowrap; }
        .faint { color: var(--faint); }
        .none { color: var(--good); }
        .alarm { color: var(--bad); font-weight: 600; }
        ul.counts { list-style: none; margin: 0; padding: 0; }
        ul.counts li { display: flex; justify-content: space-between; gap: 1rem; }
        @media (max-width: 46rem) {
          body { padding: .6rem; }
          main { grid-template-columns: minmax(0, 1fr); }
          .card { padding: .75rem .8rem; }
          header { grid-template-columns: 1fr auto; }
          #live { grid-row: 3; grid-column: 1 / -1; }
          svg { height: 10rem; }
          dl { grid-template-columns: repeat(auto-fill, minmax(7.4rem, 1fr)); }
          .headline strong { font-size: 1.6rem; }
          fieldset { float: none; display: flex; }
          thead { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
          tr { display: grid; grid-template-columns: 1fr auto; border-top: 1px solid var(--line);
            padding: .5rem 0; }
          tbody tr:first-child { border-top: 0; padding-top: 0; }
          th, td { border: 0; padding: 0; }
          :is(#directories, #users) th:first-child { width: auto; }
          :is(#directories, #users) tbody td:nth-child(2) { grid-column: 1 / -1; grid-row: 2; }
          #refusals td { grid-column: 1 / -1; }
        }
        @media (forced-colors: active) { .bar { border: 1px solid; } .bar > i { background: Highlight; } }
        """#
}
