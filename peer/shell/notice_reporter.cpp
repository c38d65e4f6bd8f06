#include "peer/shell/notice_reporter.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "common/base/log.h"
#include "common/base/text.h"
#include "common/net/address.h"

namespace espalier::peer::shell {

NoticeReporter::NoticeReporter(Network& network, EventBus& events,
                               std::vector<Endpoint> metaservers, std::string advertise)
    : network_(network),
      events_(events),
      metaservers_(std::move(metaservers)),
      advertise_(std::move(advertise)) {}

void NoticeReporter::report(const Notice& notice) {
  using Kind = Notice::Kind;
  using End = JoinAttempt::End;
  switch (notice.kind) {
    case Kind::joined:
      joined_ = true;
      return events_.publish(JoinEnded{End::joined, {}, {}});
    case Kind::wordRefused:
      return joinFailed(End::wordRefused,
                        {ErrorCode::refused, "the metaserver refused the join word"}, notice.text);
    case Kind::refused:
      if (joined_) {
        log::error("the metaserver refused this peer: {}", escaped(notice.text));
      }
      return joinFailed(End::idRefused, {ErrorCode::refused, notice.text});
    case Kind::renamed:
      return log::warning(
          notice.about,
          "another member has this peer's id: this peer is {} until it is started again",
          notice.text);
    case Kind::failed:
      return joinFailed(End::failed, {ErrorCode::io, notice.text});
    case Kind::mismatch:
      return joinFailed(End::failed,
                        {ErrorCode::protocol,
                         fmt::format("the program at {} is not a metaserver of this version: {}",
                                     listOf(metaservers_), escaped(notice.text))});
    case Kind::metaserverLost:
      return lost(notice.text);
    case Kind::nextMetaserver:
      return log::info(notice.about, "{}: the next metaserver is tried", escaped(notice.text));
    case Kind::waiting:
      return log::info(notice.about, "{}", escaped(notice.text));
    case Kind::metaserverBack:
      reachable_ = true;
      if (notice.text.empty()) {
        log::info(notice.about, "the metaserver is back");
      } else {
        log::info(notice.about, "the metaserver is {} now", escaped(notice.text));
      }
      return events_.publish(MetaserverBack());
    case Kind::linkUp:
      // The line about joining names the first link.
      if (joined_) log::info(notice.about, "linked to {}", notice.text);
      return events_.publish(LinkUp{notice.text});
    case Kind::linkDown:
      log::info(notice.about, "the link to {} is gone", notice.text);
      return events_.publish(LinkDown{notice.text});
    case Kind::root:
      return log::debug(notice.about, "this peer is the root now");
    case Kind::seenFrom:
      return compareSource(notice.text);
    case Kind::unreachable:
      return log::warning(
          notice.about,
          "the metaserver cannot connect to this peer ({}); peers that cannot connect either fetch "
          "nothing from it: allow incoming connections, or announce another address with "
          "--advertise",
          escaped(notice.text));
    case Kind::warning:
      return log::warning(notice.about, "{}", notice.text);
  }
}

void NoticeReporter::joinFailed(JoinAttempt::End end, Error error, std::string word) {
  events_.publish(JoinEnded{end, std::move(error), std::move(word)});
}

void NoticeReporter::lost(const std::string& why) {
  if (joined_ && std::exchange(reachable_, false)) {
    log::warning(Payer(), "metaserver out of reach: {}; the network goes on", escaped(why));
  }
  events_.publish(MetaserverLost());
  // An IP literal needs no more words; of a host name the error says how far it led.
  const bool isName = std::ranges::any_of(
      metaservers_, [](const auto& at) { return !net::Address::fromEndpoint(at).ok(); });
  joinFailed(JoinAttempt::End::unavailable,
             {ErrorCode::unavailable, noMetaserverLine(metaservers_, isName ? why : "")});
}

// Warns where the announced host, by none of its addresses, is the one that the metaserver sees
// connections come from.
void NoticeReporter::compareSource(const std::string& source) {
  const auto seen = net::Address::fromEndpoint({source, 0});
  if (!seen || advertise_.empty()) return;
  const Endpoint announced{advertise_, 0};
  const auto compare = [seen = *seen, source, announced](const Result<net::Target>& target) {
    const auto is = [&](const net::Address& address) { return address.sameHost(seen); };
    if (target && std::any_of(target->addresses.begin(), target->addresses.end(), is)) return;
    const std::string why = target ? "" : fmt::format(" ({})", target.error().message);
    log::warning(
        Payer(),
        "this peer announces itself at {}{}, but the metaserver sees its connection come from "
        "{}: "
        "if others cannot connect to {}, change --advertise, or leave it out",
        escaped(announced.host), why, source, escaped(announced.host));
  };
  network_.lookUp(announced, net::NamedBy::user, compare);
}

}  // namespace espalier::peer::shell
