#include "peer/core/ledger.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <charconv>

#include "common/base/limits.h"

namespace espalier::peer {

using wire::PushEntry;

namespace {

constexpr std::size_t kIndices = 2 * limits::kLedgerEntries;
static_assert(kIndices < 0xffff);
static_assert(limits::kPeerIdBytes < 0x100, "one byte holds the length of an id");

// FNV-1a. Hash collisions only cost extra string compares.
std::uint32_t hashOf(std::string_view id) {
  std::uint32_t hash = 2166136261u;
  for (const char c : id) hash = (hash ^ static_cast<unsigned char>(c)) * 16777619u;
  return hash;
}

std::string addressText(std::uint32_t address) {
  return fmt::format("{}.{}.{}.{}", address >> 24, address >> 16 & 0xff, address >> 8 & 0xff,
                     address & 0xff);
}

// Parses an IPv4 address in the form that addressText() writes; no other form.
std::optional<std::uint32_t> addressOf(std::string_view host) {
  std::uint32_t address = 0;
  const char* at = host.data();
  const char* const end = at + host.size();
  for (int part = 0; part < 4; ++part) {
    if (part > 0 && (at == end || *at++ != '.')) return std::nullopt;
    std::uint8_t byte = 0;
    const bool leadingZero = end - at > 1 && at[0] == '0' && at[1] != '.';
    const auto [next, error] = std::from_chars(at, end, byte);
    if (leadingZero || error != std::errc()) return std::nullopt;
    at = next;
    address = address << 8 | byte;
  }
  return at == end ? std::optional(address) : std::nullopt;
}

bool isMore(const PushEntry& entry, const Ledger::Entry& known) {
  if (entry.version != known.version()) return entry.version > known.version();
  if (entry.state != known.state()) return entry.state > known.state();
  return entry > known.whole();
}

// Grows a vector by an eighth instead of doubling it: each push at each peer has these vectors.
template <typename T>
void makeRoom(std::vector<T>& in, std::size_t more) {
  const std::size_t needed = in.size() + more;
  if (needed > in.capacity()) in.reserve(needed + needed / 8);
}

void keep(std::map<Ledger::Index, std::string>& where, Ledger::Index index,
          const std::string* text) {
  if (text != nullptr) {
    where[index] = *text;
  } else if (!where.empty()) {
    where.erase(index);
  }
}

}  // namespace

// --- an entry ---

std::optional<Ledger::Index> Ledger::Entry::via() const {
  return record().via == kNowhere ? std::nullopt : std::optional(record().via);
}

std::string Ledger::Entry::reason() const {
  const auto found = ledger_->reasons_.find(index_);
  return found == ledger_->reasons_.end() ? std::string() : found->second;
}

wire::Contact Ledger::Entry::contact() const {
  const auto host = ledger_->hosts_.find(index_);
  const bool isAddress = host == ledger_->hosts_.end();
  return {id(),
          record().order,
          {isAddress ? addressText(record().address) : host->second, record().port}};
}

PushEntry Ledger::Entry::whole() const {
  return {version(), state(), contact(), via() ? ledger_->idAt(*via()) : PeerId(),
          late(),    reason()};
}

// --- all of them ---

std::optional<Ledger::Index> Ledger::merge(const PushEntry& entry) {
  auto index = indexOf(entry.peer.id.text());
  const auto known = index ? at(*index) : std::nullopt;
  if (known && !isMore(entry, *known)) return std::nullopt;
  if (!known && size_ >= limits::kLedgerEntries) return std::nullopt;
  const auto via = viaOf(entry, known);
  if (!via) return std::nullopt;
  if (!index) index = addIndex(entry.peer.id.text());
  if (!index) return std::nullopt;
  Record& record = records_[*index];
  if (record.known) {
    --counts_[static_cast<std::size_t>(record.state)];
  } else {
    ++size_;
  }
  ++counts_[static_cast<std::size_t>(entry.state)];
  const auto address = addressOf(entry.peer.endpoint.host);
  record = {entry.peer.order,         record.hash, record.text, address.value_or(0), entry.version,
            entry.peer.endpoint.port, *via,        entry.state, entry.late,          true};
  keep(hosts_, *index, address ? nullptr : &entry.peer.endpoint.host);
  keep(reasons_, *index, entry.reason.empty() ? nullptr : &entry.reason);
  return index;
}

std::optional<Ledger::Index> Ledger::viaOf(const PushEntry& entry,
                                           const std::optional<Entry>& known) {
  if (entry.via.empty()) return kNowhere;
  // `via` seldom changes, so this avoids most look-ups.
  const auto before = known ? known->via() : std::nullopt;
  if (before && textAt(records_[*before].text) == entry.via.text()) return before;
  const bool full = records_.size() - size_ >= limits::kLedgerEntries;
  return full ? indexOf(entry.via.text()) : addIndex(entry.via.text());
}

bool Ledger::isNews(const PushEntry& entry) const {
  const auto known = find(entry.peer.id);
  return !known || isMore(entry, *known);
}

std::optional<Ledger::Entry> Ledger::find(const PeerId& id) const {
  const auto index = indexOf(id.text());
  return index ? at(*index) : std::nullopt;
}

std::optional<Ledger::Entry> Ledger::at(Index index) const {
  if (index >= records_.size() || !records_[index].known) return std::nullopt;
  return Entry(*this, index);
}

std::vector<Ledger::Entry> Ledger::entries() const {
  std::vector<Entry> entries;
  entries.reserve(size_);
  for (std::size_t index = 0; index < records_.size(); ++index) {
    if (records_[index].known) entries.push_back({*this, static_cast<Index>(index)});
  }
  return entries;
}

bool Ledger::operator==(const Ledger& other) const {
  if (size_ != other.size_ || counts_ != other.counts_) return false;
  for (const auto& entry : entries()) {
    const auto same = other.find(entry.id());
    if (!same || same->whole() != entry.whole()) return false;
  }
  return true;
}

// --- indices ---

std::string_view Ledger::textAt(std::uint32_t text) const {
  return {&texts_[text + 1], static_cast<std::uint8_t>(texts_[text])};
}

std::vector<Ledger::Index>::const_iterator Ledger::lowerBound(std::string_view id,
                                                              std::uint32_t hash) const {
  return std::lower_bound(sorted_.begin(), sorted_.end(), id,
                          [&](Index index, std::string_view wanted) {
                            const Record& record = records_[index];
                            if (record.hash != hash) return record.hash < hash;
                            return textAt(record.text) < wanted;
                          });
}

bool Ledger::isAt(std::vector<Index>::const_iterator where, std::string_view id) const {
  return where != sorted_.end() && textAt(records_[*where].text) == id;
}

std::optional<Ledger::Index> Ledger::indexOf(std::string_view id) const {
  const auto found = lowerBound(id, hashOf(id));
  return isAt(found, id) ? std::optional(*found) : std::nullopt;
}

std::optional<Ledger::Index> Ledger::addIndex(std::string_view id) {
  const auto hash = hashOf(id);
  const auto before = lowerBound(id, hash);
  if (isAt(before, id)) return *before;
  if (records_.size() >= kIndices) return std::nullopt;
  const auto index = static_cast<Index>(records_.size());
  const auto rank = before - sorted_.begin();
  makeRoom(texts_, 1 + id.size());
  makeRoom(sorted_, 1);
  records_.push_back({});
  records_.back().hash = hash;
  records_.back().text = static_cast<std::uint32_t>(texts_.size());
  texts_.push_back(static_cast<char>(id.size()));
  texts_.insert(texts_.end(), id.begin(), id.end());
  sorted_.insert(sorted_.begin() + rank, index);
  return index;
}

// --- some indices ---

constexpr std::size_t kWordBits = 64;

void LedgerIndexSet::insert(Ledger::Index index) {
  const std::size_t word = index / kWordBits;
  if (word >= words_.size()) words_.resize(word + 1);
  const std::uint64_t bit = std::uint64_t{1} << index % kWordBits;
  if ((words_[word] & bit) != 0) return;
  words_[word] |= bit;
  from_ = size_++ == 0 ? word : std::min(from_, word);
}

Ledger::Index LedgerIndexSet::first() const {
  const auto bit = static_cast<std::size_t>(std::countr_zero(words_[from_]));
  return static_cast<Ledger::Index>(from_ * kWordBits + bit);
}

void LedgerIndexSet::eraseFirst() {
  words_[from_] &= words_[from_] - 1;
  if (--size_ == 0) return;
  while (words_[from_] == 0) ++from_;
}

}  // namespace espalier::peer
