#include "peer/core/dial_budget.h"

#include <algorithm>
#include <chrono>

#include "common/base/endpoint.h"
#include "common/base/limits.h"

namespace espalier::peer {

using limits::Rate;

bool DialBudget::isElsewhere(const wire::Contact& target, const wire::Contact& self) {
  return target.id != self.id && target.endpoint != self.endpoint && target.endpoint.port != 0 &&
         isUnicast(target.endpoint.host);
}

DialBudget::Answer DialBudget::pay(const NamedContact& target, const wire::Contact& self,
                                   TimePoint now) {
  if (!isElsewhere(target.contact, self)) return Answer::never;
  const Payer machine = Payer::machine(target.contact.endpoint.host);
  // A peer elsewhere must not make this one talk to the services of its own machine.
  if (machine.isLoopback() && !Payer::host(self.endpoint.host).isLoopback()) return Answer::never;
  const auto payable = [&](const Account& account, Rate what) {
    return account.affordableAt(what, now) <= now;
  };
  if (!payable(all_, Rate::dials) || !payable(all_, Rate::namedDials)) return Answer::later;
  Account by = target.by;
  const Account endpoint = budget_.account(Payer::endpoint(target.contact.endpoint));
  const bool isPaid = payable(by, Rate::namedDials) &&
                      Account::spend({endpoint, budget_.account(machine)}, Rate::dials, now) &&
                      by.spend(Rate::namedDials, now);
  return isPaid ? Answer::now : Answer::notYet;
}

TimePoint DialBudget::nextAt(TimePoint now) const {
  return std::max<TimePoint>({all_.affordableAt(Rate::dials, now),
                              all_.affordableAt(Rate::namedDials, now),
                              now + std::chrono::milliseconds(1)});
}

}  // namespace espalier::peer
