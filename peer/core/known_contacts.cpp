#include "peer/core/known_contacts.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <random>
#include <utility>

#include "common/base/limits.h"

namespace espalier::peer {
namespace {

using namespace std::chrono_literals;

constexpr Duration kExchangeInterval = 5s;
constexpr Duration kExchangeMemberInterval = 20ms;  // for each member of the tree

bool isSame(const wire::Contact& a, const wire::Contact& b) {
  return a.id == b.id && a.endpoint == b.endpoint;
}

// Makes room for one more: the peer that named most loses its oldest.
void dropOne(std::deque<NamedContact>& hearsay) {
  std::map<Payer, std::size_t> named;
  for (const auto& each : hearsay) ++named[each.by.payer()];
  const auto most = std::max_element(
      named.begin(), named.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
  const auto oldest = std::find_if(hearsay.rbegin(), hearsay.rend(), [&](const auto& each) {
    return each.by.payer() == most->first;
  });
  hearsay.erase(std::prev(oldest.base()));
}

}  // namespace

void KnownContacts::remember(const NamedContact& named) {
  const auto& contact = named.contact;
  if (contact.id == self_) return;
  forget(contact);
  firstHand_.push_front(named);
  if (firstHand_.size() > limits::kKnownContacts) firstHand_.pop_back();
}

void KnownContacts::linked(const TreeLink& link, const Tree& tree) {
  const auto& parent = tree.parent();
  if (parent && parent->connection == link.connection) return remember({link.peer});
  Account by = link.account;
  for (const auto& child : tree.children()) {
    if (child.connection == link.connection) by = child.address;
  }
  heardOf({link.peer, std::move(by)});
}

void KnownContacts::heardOf(const NamedContact& named) {
  const auto& contact = named.contact;
  if (contact.id == self_) return;
  const auto same = [&](const NamedContact& each) { return isSame(each.contact, contact); };
  if (std::any_of(firstHand_.begin(), firstHand_.end(), same)) return;
  const auto known = std::find_if(hearsay_.begin(), hearsay_.end(), same);
  if (known != hearsay_.end()) {
    // Who named it first goes on paying for it: else one peer could take over all parts.
    std::rotate(hearsay_.begin(), known, std::next(known));
    return;
  }
  if (hearsay_.size() >= limits::kKnownContacts) dropOne(hearsay_);
  hearsay_.push_front(named);
}

void KnownContacts::heardOfAbove(const Tree& tree) {
  if (!tree.parent()) return;
  const auto above = tree.contactsAbove();
  // The nearest peer is added last, so it comes first in the list.
  for (auto contact = above.rbegin(); contact != above.rend(); ++contact) {
    heardOf({*contact, tree.namedAbove()});
  }
}

void KnownContacts::forget(const wire::Contact& contact) {
  const auto same = [&](const NamedContact& each) { return isSame(each.contact, contact); };
  std::erase_if(firstHand_, same);
  std::erase_if(hearsay_, same);
}

std::vector<NamedContact> KnownContacts::all() const {
  std::vector<NamedContact> all(firstHand_.begin(), firstHand_.end());
  all.insert(all.end(), hearsay_.begin(), hearsay_.end());
  return all;
}

// Up, because only roots look for other trees while there is no metaserver, and the root changes.
// Down, because a parent and all its children may die together: then only peers further below can
// know a member of the other part.
void KnownContacts::exchange(Tree& tree, Random& random, TimePoint now, Effects& fx) {
  if (now < nextExchange_) return;
  const auto contacts = all();
  if (contacts.empty()) return;
  std::uniform_real_distribution<double> spread(0.5, 1.5);
  const auto interval =
      std::max<Duration>(kExchangeInterval, tree.members() * kExchangeMemberInterval);
  nextExchange_ = now + std::chrono::duration_cast<Duration>(spread(random) * interval);
  tree.tellAbove({contacts[random() % contacts.size()].contact}, fx);
  std::vector<NamedContact> sample;
  std::sample(contacts.begin(), contacts.end(), std::back_inserter(sample), limits::kContacts,
              random);
  std::vector<wire::Contact> told;
  for (const auto& each : sample) told.push_back(each.contact);
  tree.tellBelow(told, fx);
}

}  // namespace espalier::peer
