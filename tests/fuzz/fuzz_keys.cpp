// Keys: the file with a peer's instance key, and keys and link secrets in messages.
#include <algorithm>
#include <optional>
#include <string>

#include "common/base/limits.h"
#include "common/base/log.h"
#include "common/wire/link_codec.h"
#include "common/wire/registry_codec.h"
#include "peer/shell/instance_key.h"
#include "tests/fuzz/choices.h"
#include "tests/fuzz/scratch_folder.h"

using namespace espalier;

namespace {

constexpr std::size_t kShort = 40;  // of a field: its length and its message's are one byte each
constexpr std::uint8_t kMark = 0xa5;

void checkFile(const std::string& text) {
  static const fuzz::ScratchFolder scratch;
  scratch.write("instance.key", text);
  const auto key = peer::shell::loadInstanceKey(scratch.path());
  fuzz::require(scratch.read("instance.key") == text, "a key file is never changed");
  if (!key) {
    fuzz::require(key.error().code == ErrorCode::configuration, "a damaged file is told as such");
    return;
  }
  std::string lower(text);
  std::transform(lower.begin(), lower.end(), lower.begin(),
                 [](char c) { return c >= 'A' && c <= 'F' ? static_cast<char>(c + 32) : c; });
  fuzz::require(lower == toHex(key->view()) + "\n", "the key is what the file says");
  fuzz::require(peer::shell::restoreInstanceKey(scratch.path(), *key).ok(), "it is there");
  fuzz::require(scratch.read("instance.key") == text, "and stays");
}

// `bytes` in place of the 16 marks in a message, which is its envelope's only field. The lengths of
// both are changed with it.
std::string replaced(std::string message, std::string_view bytes) {
  const std::string marks(16, static_cast<char>(kMark));
  const auto at = message.find(marks);
  fuzz::require(at != std::string::npos && at > 0, "the marks are there");
  message.replace(at, marks.size(), bytes);
  fuzz::require(message.size() < 128, "each length is one byte");
  message[at - 1] = static_cast<char>(bytes.size());
  message[1] = static_cast<char>(message.size() - 2);
  return message;
}

void checkSecret(std::string_view bytes) {
  wire::Attach attach;
  attach.network.bytes.fill(7);
  attach.self = {*PeerId::parse("s1"), JoinOrder{1}, {"127.0.0.1", 5001}};
  attach.secret.bytes.fill(kMark);
  const auto decoded = wire::decodeLink(replaced(wire::encode(wire::LinkMessage(attach)), bytes));
  const bool isOne = bytes.size() == wire::LinkSecret::kSizeBytes;
  fuzz::require(decoded.ok() == (isOne || bytes.empty()),
                "a secret has 16 bytes, or there is none");
  if (!decoded) return;
  const auto& got = std::get<wire::Attach>(*decoded);
  fuzz::require(bytes.empty() ? got.secret.isZero() : got.secret.view() == bytes,
                "a secret arrives as it was sent");
}

void checkKey(std::string_view bytes) {
  wire::Join join;
  join.id = *PeerId::parse("s1");
  join.key.bytes.fill(kMark);
  join.word = "P2P";
  const auto decoded =
      wire::decodeRegistryRequest(replaced(wire::encode(wire::RegistryRequest(join)), bytes));
  fuzz::require(decoded.ok() == (bytes.size() == InstanceKey::kSizeBytes), "a key has 16 bytes");
  if (!decoded) return;
  fuzz::require(std::get<wire::Join>(*decoded).key.view() == bytes, "a key arrives as it was sent");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  log::setLevel(log::Level::none);
  fuzz::Choices choices(fuzz::view(data, size));
  switch (choices.below(5)) {
    case 0:
      checkFile(std::string(choices.rest()));
      break;
    case 1: {  // nearly a key
      std::string text = "0123456789abcdef0123456789ABCDEF\n";
      text.resize(text.size() - choices.below(3), '\n');
      for (auto count = choices.below(4); count > 0; --count) {
        const auto at = choices.below(text.size());
        for (const char c : choices.take(1)) text[at] = c;
      }
      checkFile(text);
      break;
    }
    case 2: {  // longer than any
      std::string text(limits::kKeyFileBytes - 2 + choices.below(5), '0');
      checkFile(text + std::string(choices.rest()));
      break;
    }
    case 3:
      checkSecret(choices.take(choices.oneIn(2) ? 16 : kShort));
      break;
    default:
      checkKey(choices.take(choices.oneIn(2) ? 16 : kShort));
  }
  return 0;
}
