#include "peer/core/known_contacts.h"

#include <algorithm>
#include <iterator>
#include <random>

#include "common/base/limits.h"

namespace espalier::peer {
namespace {

using namespace std::chrono_literals;

constexpr Duration kExchangeInterval = 5s;
constexpr Duration kExchangeMemberInterval = 20ms;  // for each member of the tree

auto sameContact(const wire::Contact& contact) {
  return [&contact](const wire::Contact& other) {
    return other.id == contact.id && other.endpoint == contact.endpoint;
  };
}

void putFirst(const wire::Contact& contact, std::deque<wire::Contact>& contacts) {
  std::erase_if(contacts, sameContact(contact));
  contacts.push_front(contact);
  if (contacts.size() > limits::kKnownContacts) contacts.pop_back();
}

}  // namespace

void KnownContacts::remember(const wire::Contact& contact) {
  if (contact.id == self_) return;
  std::erase_if(hearsay_, sameContact(contact));
  putFirst(contact, firstHand_);
}

void KnownContacts::heardOf(const wire::Contact& contact) {
  if (contact.id == self_) return;
  if (std::any_of(firstHand_.begin(), firstHand_.end(), sameContact(contact))) return;
  putFirst(contact, hearsay_);
}

void KnownContacts::heardOfAbove(const Tree& tree) {
  if (!tree.parent()) return;
  const auto above = tree.contactsAbove();
  // The nearest peer is added last, so it comes first in the list.
  for (auto contact = above.rbegin(); contact != above.rend(); ++contact) heardOf(*contact);
}

void KnownContacts::forget(const PeerId& id) {
  const auto isOfPeer = [&](const wire::Contact& contact) { return contact.id == id; };
  std::erase_if(firstHand_, isOfPeer);
  std::erase_if(hearsay_, isOfPeer);
}

std::vector<wire::Contact> KnownContacts::all() const {
  std::vector<wire::Contact> all(firstHand_.begin(), firstHand_.end());
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
  tree.tellAbove({contacts[random() % contacts.size()]}, fx);
  std::vector<wire::Contact> sample;
  std::sample(contacts.begin(), contacts.end(), std::back_inserter(sample), limits::kContacts,
              random);
  tree.tellBelow(sample, fx);
}

}  // namespace espalier::peer
