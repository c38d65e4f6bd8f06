"""The faults: what each breaks, the snippet of the core that it replaces, and the runs that must catch it.

A snippet must occur exactly once in its source; otherwise the test of the fault fails.
"""
import dataclasses

SCHEDULES = ("--count", "300")
PUSHES = ("--push", "--count", "300")
MOVING = ("--moving", "--count", "100")
CLUSTERS = ("--cluster", "--count", "400", "--peers", "3", "16")
ETCD = ("--etcd", "--count", "400", "--peers", "3", "16")
ROOMS = ("--count", "10000")
KILLS = ("--kill-each", "--count", "2000", "--peers", "2", "16")


def lying(kinds):
    return ("--liars", "--lies", kinds, "--count", "100", "--peers", "4", "24")


@dataclasses.dataclass(frozen=True)
class Fault:
    breaks: str
    good: str
    bad: str
    run: tuple = SCHEDULES


FAULTS = {
    # --- peer/core/tree*.cpp
    "degree_off_by_one": Fault(
        "A peer that has all its links takes one child more.",
        "return takenSlots() >= maxLinks_;",
        "return takenSlots() > maxLinks_;"),
    "full_root_keeps_children": Fault(
        "A full root that attaches does not give up a child for its parent.",
        "  makeRoomForParent(fx);\n  parent_ = ",
        "  parent_ = "),
    "acceptor_not_anchored": Fault(
        "A peer that takes a joiner in claims heartbeats that no root has issued.",
        "wire::Accepted{self_, label_, members()",
        "wire::Accepted{self_, wire::Label{label_.sequence + 1000, 0}, members()"),
    "labels_not_compared": Fault(
        "A seeker attaches to any peer that accepts it, although its own label has changed meanwhile.",
        "if (!accepted.label.betterThan(floor()) || accepted.label.depth >= limits::kDepth ||",
        "if (accepted.label.depth >= limits::kDepth ||"),
    "seeker_raises": Fault(
        "A seeker raises its label for a joiner, and then its acceptor's label is too low.",
        "const bool raises = isRoot_ || attach.floor.sequence == 0;",
        "const bool raises = true;",
        KILLS),
    "raise_not_forwarded": Fault(
        "A request for a fresh heartbeat is not forwarded to the root, so joiners are held in vain.",
        "fx.send(parent_->connection, raise);",
        "static_cast<void>(raise);",
        ("--kill-each", "--first", "2501", "--count", "100", "--peers", "2", "16")),
    "heartbeats_ignored": Fault(
        "A peer's label does not change after it has attached, so joiners that it holds wait in vain.",
        "    bettered({heartbeat->label.sequence, heartbeat->label.depth + 1}, now, fx);\n  } else if",
        "  } else if"),
    "child_thrown_off": Fault(
        "An asker with the id of a child gets a slot, and the child is given up.",
        "if (!isSame(child->secret) && now < child->heard + limits::kContestSilence) {",
        "if (now < child->heard - limits::kContestSilence) {"),
    "silence_not_noticed": Fault(
        "A silent parent is kept.",
        "if (parent_ && parent_->heard <= silentSince) silent.push_back(parent_->connection);\n",
        ""),
    "lost_child_kept": Fault(
        "A child whose connection ended keeps its place.",
        "    children_.erase(child);\n    changedGossip(now);\n",
        "    changedGossip(now);\n"),
    # --- peer/core/metaserver_list.cpp
    "home_never_changed": Fault(
        "Once all metaservers were tried, a peer dials the last one again and again.",
        "    if (rank(all_[at]) <= rank(all_[best])) best = at;",
        "    if (rank(all_[at]) < rank(all_[best])) best = at;",
        MOVING),
    "told_forgotten": Fault(
        "A peer knows only the metaservers that its user gave.",
        "    add(known == before.end() ? Address{at} : *known);",
        "    static_cast<void>(known);",
        MOVING),
    # --- peer/core/parent_search.cpp
    "lost_parent_not_sought": Fault(
        "A peer that loses its parent waits for a referral and does not search.",
        "if (!isHeir) return begin(parent.id, now, fx);",
        "if (!isHeir) return;"),
    "contacts_never_asked": Fault(
        "Without the metaserver an orphan asks no contact.",
        "candidates_.contacts(std::move(contacts));",
        "candidates_.contacts({});"),
    "attempt_without_end": Fault(
        "An attempt to attach to a stopped peer never times out.",
        "target, now + limits::kAttachTimeout};",
        "target, std::max(now, kNever)};"),
    # --- peer/core/back_pressure.cpp
    "slowed_for_ever": Fault(
        "While one queue is full and never drains, the other links are never read.",
        "kSlowed = 1s;",
        "kSlowed = std::chrono::hours(24);"),
    # --- metaserver/core
    "reservation_never_released": Fault(
        "A slot stays reserved for a peer that has attached there.",
        "    setReserved(node, false);\n    return;\n",
        "    return;\n",
        KILLS),
    "report_ignored": Fault(
        "The metaserver's snapshot ignores what peers report.",
        "  changed(node);\n  restore(node);\n",
        "  changed(node);\n"),
    "orphans_forgotten": Fault(
        "When a peer dies, the slots of the plan are not reserved for its children.",
        "    reserve(attachment.orphan, attachment.parent, now);\n",
        "    static_cast<void>(now);\n",
        KILLS),
    "port_given_twice": Fault(
        "A port is assigned that a member has.",
        "if (!isTaken(host, port)) return port;",
        "if (!host.empty()) return port;"),
    "ghost_not_replaced": Fault(
        "A peer that comes back with its key is refused while its former session is open.",
        "if (record(*there).key == join.key) return std::nullopt;",
        "if (join.key.isZero()) return std::nullopt;",
        ("--first", "2150", "--count", "100")),  # one schedule in a thousand has such a peer
    "order_without_key": Fault(
        "A stranger that names the join order of a former member is admitted as that member.",
        "if (entry->second.member.id != id || entry->second.member.key != key) return false;",
        "if (id.empty() || key.isZero()) return false;"),
    "awaited_for_ever": Fault(
        "A restarted metaserver waits without end for a peer that does not come back.",
        "awaitUntil_ = now + limits::kRejoinWait;",
        "awaitUntil_ = now + limits::kRejoinWait + std::chrono::hours(24);"),
    "admitted_before_durable": Fault(
        "Members are admitted although the network's id is not on disk.",
        "  fx.persists.push_back({Persist::Durability::beforeSends});\n",
        ""),
    # --- peer/core/search_hits.cpp
    "hits_not_compared": Fault(
        "Hits that do not match the query are passed on and shown.",
        "return matches ? Judgement::fits : Judgement::unasked;",
        "return matches ? Judgement::fits : Judgement::fits;"),
    # --- topo/plan.cpp
    "plan_for_the_last_orphan": Fault(
        "The plan makes the youngest orphan the root.",
        "return tree.member(a).order < tree.member(b).order;",
        "return tree.member(b).order < tree.member(a).order;",
        KILLS),
    # --- what keeps the harm of liars with the liars
    "far_label_not_followed": Fault(
        "A peer never follows a root whose number a liar has driven far ahead.",
        "if (!withinJump(label_, accepted.label)) giveUpChildren(fx);",
        "if (!withinJump(label_, accepted.label)) return false;",
        lying("attaches,gossip")),
    "impostor_hides_peer": Fault(
        "Whoever attaches under the id of a peer keeps the hits of that peer out.",
        "each.second.isConfirmed() && each.second.peer() == peer",
        "each.second.peer() == peer",
        lying("attaches")),
    "foreign_joiner_accepted": Fault(
        "A joiner of another network gets a slot.",
        "if (attach.network != network_) return refuse(connection, RefusalReason::otherNetwork, fx);",
        "if (attach.network.isZero()) return refuse(connection, RefusalReason::otherNetwork, fx);",
        lying("attaches")),
    "own_id_accepted": Fault(
        "A joiner under the id of the acceptor itself gets a slot.",
        "if (attach.self.id == self_.id) return refuse(connection, RefusalReason::below, fx);",
        "if (attach.self.id.empty()) return refuse(connection, RefusalReason::below, fx);",
        lying("attaches")),
    "parent_id_accepted": Fault(
        "A joiner under the id of the acceptor's parent gets a slot.",
        "if (parent_ && parent_->contact.id == attach.self.id) {",
        "if (parent_ && attach.self.id.empty()) {",
        lying("attaches")),
    "holders_merged_by_id": Fault(
        "Of two endpoints that are told for one holder only one is kept.",
        "                      merged.back().endpoint == holder.endpoint;",
        "                      !holder.endpoint.host.empty();",
        lying("hits,coverage")),
    "own_share_claimed": Fault(
        "A peer believes others what it has itself.",
        "if (mayHold) learnHit(",
        "if (mayHold || !hit.holder.empty()) learnHit(",
        lying("hits,coverage")),
    "searched_beyond_members": Fault(
        "Orders that a liar claims are counted as peers that do not exist.",
        "return std::min(asked_->count.members(), covered());",
        "return covered();",
        lying("hits,coverage,attaches")),
    "id_taken_over": Fault(
        "A peer that joins under a member's id takes its place without its key.",
        "if (record(*there).key == join.key) return std::nullopt;\n    return",
        "if (!join.key.isZero()) return std::nullopt;\n    return",
        lying("registry")),
    "links_repeated": Fault(
        "The metaserver keeps a report of links as it is, with repeats and the reporter itself.",
        "withoutRepeats(tree_.member(node).id, neighbours)};",
        "neighbours};",
        lying("registry")),
    "end_without_proof": Fault(
        "Anybody ends a push for the peers on the other side.",
        "  if (push.isEndProven()) return;\n",
        "",
        lying("ledger")),
    "claim_not_contradicted": Fault(
        "A peer that others lie about does not raise the version of its entry.",
        "own.version = std::min(claim.version, limits::kLedgerVersion - 1) + 1;",
        "own.version = std::min(claim.version, own.version);",
        lying("ledger")),
    "versions_used_up": Fault(
        "A liar gives an entry the largest version, and its peer can say no more.",
        "if (version <= limits::kLedgerVersionsAtOnce) return TimePoint::min();",
        "if (version <= limits::kLedgerVersion) return TimePoint::min();",
        lying("ledger")),
    # --- peer/core/ledger.cpp
    "smaller_entry_counts": Fault(
        "The last entry wins, also an older one.",
        "if (known && !isMore(entry, *known)) return std::nullopt;",
        "if (known && entry == known->whole()) return std::nullopt;",
        PUSHES),
    "state_counted_twice": Fault(
        "A peer whose state changes is still counted in the one before.",
        "    --counts_[static_cast<std::size_t>(record.state)];\n",
        "",
        PUSHES),
    # --- peer/core/open_push.cpp
    "awaited_push_forgotten": Fault(
        "A push is forgotten some time after its last news, although a peer still takes it.",
        "(awaited ? Duration(limits::kPushAwaited) : Duration(limits::kPushKept))",
        "(awaited ? Duration(limits::kPushKept) : Duration(limits::kPushKept))",
        PUSHES),
    # --- peer/core/push_taking.cpp
    "liar_asked_again": Fault(
        "A source that lied is asked again after its rest.",
        "trouble == PushTrouble::lied ? kNever : now",
        "trouble == PushTrouble::lied ? now : now",
        PUSHES),
    "taken_for_ever": Fault(
        "Taking never ends when no reachable peer has the whole push.",
        "dried = way.drySince + limits::kPushKept;",
        "dried = way.drySince + limits::kPushKept + std::chrono::hours(24);",
        PUSHES),
    # --- peer/core/push_policy.cpp
    "policy_ignored": Fault(
        "A peer takes pushes that its policy declines.",
        "if (from == From::none) return",
        "if (sender.empty()) return",
        PUSHES),
    # --- peer/core/push.cpp
    "failed_source_not_replaced": Fault(
        "A source that failed is not replaced.",
        "  choose(*push, now, fx);\n",
        "",
        PUSHES),
    "joiner_not_offered": Fault(
        "A peer that joins during a push gets no offer.",
        "for (auto& [pushId, push] : pushes_) offerTo(push, id, link, true, now, fx);",
        "static_cast<void>(fx);",
        PUSHES),
    "end_kept_secret": Fault(
        "The sender does not tell other peers that it cancelled a push.",
        "    if (link.knows(id)) link.addEnd(id, now);\n",
        "    static_cast<void>(link);\n",
        ("--push", "--first", "501", "--count", "60")),
    # --- metaserver/core/cluster/coordinator*.cpp
    "epoch_not_written": Fault(
        "A metaserver decides in an epoch that is not on its disk.",
        "  durable_.network = network_;\n  fx.durable = durable_;\n  return true;",
        "  durable_.network = network_;\n  return true;",
        CLUSTERS),
    "one_epoch_for_all": Fault(
        "Both sides of a cut take the same epoch.",
        "  epoch_ = *next;\n  durable_.epoch",
        "  epoch_ = Epoch{next->counter, ServerNumber{1}};\n  durable_.epoch",
        CLUSTERS),
    "order_of_others": Fault(
        "A new master gives orders behind the newest one that it knows, in the prefix of another one.",
        "  return orderOf({next.value_or(epoch_), 1}).value_or(known);",
        "  return known;",
        CLUSTERS),
    "orders_not_reserved": Fault(
        "A metaserver that starts again gives orders behind its state file, which is a moment old.",
        ": JoinOrder{number(durable_.ordersUpTo) + 1};",
        ": known;",
        CLUSTERS),
    "dead_home_kept": Fault(
        "The members of a dead metaserver stay where they were.",
        "    authority_->remote.homeGone(home, now, own, messages);\n    HomeSessions",
        "    static_cast<void>(now);\n    HomeSessions",
        CLUSTERS),
    "session_dropped_early": Fault(
        "A metaserver that drains or moves ends a session before its new home has it.",
        "    if (to) home_.redirect(connection, {*to, network_}, home);\n",
        "    if (!to) continue;\n    home_.redirect(connection, {*to, network_}, home);\n"
        "    home_.closed(connection, now, home);\n    home.peers.closes.push_back(connection);\n",
        CLUSTERS),
    "two_masters_stay": Fault(
        "A master does not yield to a better one.",
        "  freeze(best->number, now, fx);\n}",
        "}",
        CLUSTERS),
    "decider_not_seen": Fault(
        "A master that has seen a higher epoch does not look like one any more.",
        "authority_ ? authority_->epoch() : epoch_,",
        "epoch_,",
        CLUSTERS),
    "frozen_for_ever": Fault(
        "A master whose heir does not take over decides nothing any more.",
        "if (!heir || now >= over) {",
        "if (heir && now < authority_->frozenAt) {",
        CLUSTERS),
    "handover_one_short": Fault(
        "A master hands over without its latest decisions.",
        "  dropPaused();\n  flush(now, fx);\n  authority_->heir = heir;",
        "  dropPaused();\n  authority_->heir = heir;",
        CLUSTERS),
    "alone_and_master": Fault(
        "A metaserver that is alone calls itself the master.",
        "if (standing.isAlone || !master_) return standing;",
        "if (!master_) return standing;",
        CLUSTERS),
    "admission_lost_with_master": Fault(
        "A peer is told that it is admitted before another metaserver has that.",
        "return authority_ && (options_.isByEtcd || isFollowedBySomebody()); };",
        "return authority_ && options_.isByEtcd && isFollowedBySomebody(); };",
        CLUSTERS),
    "vacancy_not_filled": Fault(
        "Nobody takes over from a dead master.",
        "  if (!isBest && !isAlone) return;\n",
        "  if (!isBest || !isAlone) return;\n",
        CLUSTERS),
    "told_before_written": Fault(
        "A peer is told that it is admitted before etcd has that.",
        "!commits.empty() && commits.front().promise <= kept_; commits.pop_front()",
        "!commits.empty(); commits.pop_front()",
        ETCD),
    # --- with etcd: metaserver/core/cluster/mastership.cpp, promises.cpp
    "lease_from_answer": Fault(
        "A lease counts from the answer to its renewal, not from when the renewal was sent.",
        "      lease_.renewed(pending.sentAt, renewed->ttl);\n",
        "      lease_.renewed(now, renewed->ttl);\n",
        ETCD),
    "old_master_writes": Fault(
        "A master writes without comparing that it still is the master.",
        "  txn.compares = {{masterKey_, Field::created, mastership_},\n"
        "                  {writtenKey_, Field::modified, written_}};\n",
        "",
        ETCD),
    # --- metaserver/core/cluster/directory_changes.cpp
    "reader_misses_changes": Fault(
        "The state file misses members that joined or changed.",
        "  for (const auto& row : delta.rows) changed_.insert(row->contact.order);\n",
        "",
        CLUSTERS),
    # --- metaserver/core/cluster/replica.cpp
    "old_epoch_obeyed": Fault(
        "A metaserver takes in what comes with an older epoch.",
        "  if (epoch < epoch_ || epoch == Epoch()) return false;\n",
        "  if (epoch == Epoch()) return false;\n",
        CLUSTERS),
    "truncated_synchronisation": Fault(
        "A follower leaves a member of each page of a snapshot out.",
        "  to.directory.apply(changeOf(page));\n",
        "  if (page.rows.size() > 1) page.rows.pop_back();\n"
        "  to.directory.apply(changeOf(page));\n",
        CLUSTERS),
    # --- metaserver/core/cluster/merge.cpp
    "both_sides_renamed": Fault(
        "After a cut neither of two peers of one id may keep it.",
        "    to.push_back(std::move(row));\n",
        "    if (&to == &merged.clashes) {\n"
        "      for (auto& one : merged.rows) {\n"
        "        if (one.contact.id == row.contact.id) one.key = {};\n"
        "      }\n"
        "    }\n"
        "    to.push_back(std::move(row));\n",
        CLUSTERS),
    "side_lost_in_merge": Fault(
        "After a cut only the members of the side with the later epoch are taken over.",
        "  std::map<JoinOrder, MemberRow> rows;\n  for (const Side& side : byEpoch) {\n",
        "  std::map<JoinOrder, MemberRow> rows;\n"
        "  for (const Side& side : std::span(byEpoch).last(1)) {\n",
        CLUSTERS),
    # --- metaserver/core/cluster/session_streams.cpp
    "gap_in_stream": Fault(
        "A stream of sessions goes on although messages are missing.",
        "  if (before > received) return std::nullopt;\n",
        "  received = std::max(received, before);\n",
        CLUSTERS),
    # --- metaserver/core/cluster/home_sessions.cpp
    "other_side_counted": Fault(
        "A search during a cut counts the members of the other side.",
        "directory.orders()}});",
        "{}}});",
        CLUSTERS),
    "sessions_not_resumed": Fault(
        "A home does not resume its sessions at a new master.",
        "    resume(session, fx);\n  }\n}",
        "    if (session->second.isQuitting) resume(session, fx);\n  }\n}",
        CLUSTERS),
    # --- rooms: metaserver/core/rooms/room_master.cpp
    "room_acknowledged_at_once": Fault(
        "A message is acknowledged before another metaserver has it on its disk.",
        "isAlone ? disk_.durable() : std::min(disk_.durable(), elsewhere);",
        "isAlone ? disk_.durable() : disk_.durable();",
        ROOMS),
    "room_own_disk_not_awaited": Fault(
        "A message is committed before it is on the master's own disk.",
        "isAlone ? disk_.durable() : std::min(disk_.durable(), elsewhere);",
        "isAlone ? disk_.durable() : elsewhere;",
        ROOMS),
    "room_tail_not_pulled": Fault(
        "A new master does not take over what others have and it has not.",
        "  if (best != gathered_.end()) {",
        "  if (best != gathered_.end() && epoch_ == Epoch()) {",
        ROOMS),
    "room_said_again": Fault(
        "What is repeated gets another number.",
        "if (const auto number = room->numberOf(say.id)) {",
        "if (const auto number = room->numberOf({})) {",
        ROOMS),
    "room_opens_early": Fault(
        "A room opens when one member is still wanted.",
        "if (members_.countOf(name) >= opensAt) append",
        "if (members_.countOf(name) + 1 >= opensAt) append",
        ROOMS),
    "room_position_ahead": Fault(
        "The master tells a position before it has sent the entries up to there.",
        "message.upTo = message.last = sentUpTo_;",
        "message.upTo = message.last = disk_.log().last();",
        ROOMS),
    # --- metaserver/core/rooms/room_log.cpp
    "room_apart_lost": Fault(
        "What another side has said is not kept when the log becomes the master's.",
        "      apart_.emplace(name, entry.id);\n",
        "",
        ROOMS),
    "room_opened_forgotten": Fault(
        "After a restart a room whose opening has lapsed is closed again.",
        "  for (const auto& rest : stored.rests) roomOf(rest.room).rest_ = rest;\n",
        "  for (const auto& rest : stored.rests) {\n"
        "    roomOf(rest.room).rest_ = rest;\n"
        "    roomOf(rest.room).rest_.isOpened = false;\n"
        "  }\n",
        ROOMS),
    "room_epochs_forgotten": Fault(
        "After a restart a peer is told that it lacks what it was shown in an epoch of which nothing is kept.",
        "  epochs_ = stored.epochs;\n",
        "",
        ROOMS),
    # --- metaserver/core/rooms/log_on_disk.cpp
    "room_durable_kept": Fault(
        "What was on the disk counts as durable although another log has taken its place.",
        "  durable_ = std::min(durable_, last.sequence);\n",
        "",
        ROOMS),
    # --- metaserver/core/rooms/room_copy.cpp
    "room_gap_ignored": Fault(
        "A copy takes in what does not follow what it has.",
        "if (!disk_.log().has(message.after) || (isDoubted_ && !isAnswer))",
        "if (isDoubted_ && !isAnswer)",
        ROOMS),
    "room_unsynced_told": Fault(
        "A copy tells the master that it has what is not on its disk yet.",
        "std::min(disk_.durable(), matched_);",
        "matched_;",
        ROOMS),
    # --- metaserver/core/rooms/room_home.cpp
    "room_order_swapped": Fault(
        "A home tells its peers a message before the one that it follows.",
        "run.entries.push_back(entry);",
        "run.entries.insert(run.entries.begin(), entry);",
        ROOMS),
    "room_shown_closed": Fault(
        "What is said in a closed room is shown.",
        "  return room && room->isClosed();\n",
        "  return room && room->isClosed() && room->entries().empty();\n",
        ROOMS),
    "room_opening_missed": Fault(
        "A peer by which a room opens is not shown what was said before.",
        "  if (isLate) {",
        "  if (isLate && false) {",
        ROOMS),
    "room_one_too_far": Fault(
        "A peer that asks gets what follows the message behind its last one.",
        "StoreRange{ask.room, from.position.sequence, disk_.committed()};",
        "StoreRange{ask.room, from.position.sequence + 1, disk_.committed()};",
        ROOMS),
    "room_missing_one_less": Fault(
        "A peer is told one message less than it lacks.",
        "answer.missingFrom = known + 1;",
        "answer.missingFrom = std::min(known + 2, from.number);",
        ROOMS),
    "room_says_not_repeated": Fault(
        "A home does not tell a new master what the old one has not answered.",
        "  for (const auto& [arrival, pending] : pending_) passed_.emplace_back(pending.said);\n",
        "",
        ROOMS),
    # --- metaserver/core/rooms/rooms.cpp
    "room_rests_not_copied": Fault(
        "A metaserver that copies a log does not hear of closed rooms whose first messages have lapsed.",
        "    if (room.rest().before.sequence > answer.after.sequence) answer.rests.push_back(room.rest());\n",
        "",
        ROOMS),
    "room_counted_untold": Fault(
        "A member counts for the gate of the network before its home knows its rooms.",
        "members_.set(member, rooms, hasTold)",
        "members_.set(member, rooms, true)",
        ROOMS),
    # --- peer/core/rooms/room_views.cpp
    "room_opening_doubted_not": Fault(
        "A peer believes a home, although another one was lost that may have counted it for a gate.",
        "if (wasNow && !messages.isClosed && room.isUncertain && hasGate) {",
        "if (false) {",
        ROOMS),
    "room_gap_at_peer": Fault(
        "A peer takes what it is told for all that there is.",
        "  if (!isAnswer && messages.after.position != room.saved.at) return ask(room, now, fx);\n",
        "",
        ROOMS),
    "room_shown_twice": Fault(
        "What another side has said is shown again under its new number.",
        "  if (room.shown.contains(entry.id)) return;\n",
        "",
        ROOMS),
}
