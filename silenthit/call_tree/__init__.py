"""Call trees: which decision leads to whom, with how long to answer before it climbs.

Both edges use it: partners for alerts, agencies for tips. An edge brings two stores, what a case is
called there (its facts and its public fields), and a loop; the rest is here:

    protocol = load_protocol(path)  # protocol, conditions, schedule, check
    Cases(store, protocol, now).hear(about, facts)  # cases: CaseStore is the edge's
    Cases(store, protocol, now).escalate()  # every second or so
    post_due(pages, outlets, clock, show)  # posting: PageStore is the edge's
    reply_app(desk)  # links, reply_app: people answer by link

`consumers.case_rows`, `consumers.paging` and `consumers.answering` are the partner's side of it.
"""
