// The index of hashes and the share list in a peer's state folder: damaged, or made by an attacker.
#include <openssl/evp.h>

#include "common/base/fs.h"
#include "peer/share/index_file.h"
#include "peer/share/share_list.h"
#include "tests/fuzz/fuzz.h"

using namespace espalier;

namespace {

std::string folder() {
  std::string name = (fs::temp_directory_path() / "espalier-fuzz-XXXXXX").string();
  fuzz::require(::mkdtemp(name.data()) != nullptr, "mkdtemp");
  return name;
}

// Appends the right checksum, which random changes of an input do not find.
std::string sealed(std::string_view bytes) {
  std::string whole(bytes);
  unsigned char digest[32];
  unsigned length = 0;
  ::EVP_Digest(bytes.data(), bytes.size(), digest, &length, EVP_sha256(), nullptr);
  return whole.append(reinterpret_cast<const char*>(digest), length);
}

void checkIndex(const fs::path& file, const fs::path& copy) {
  const auto files = share::loadIndex(file);
  if (!files) return;
  fuzz::require(share::saveIndex(copy, *files).ok(), "an index can be written");
  const auto again = share::loadIndex(copy);
  fuzz::require(again.ok() && *again == *files, "and reads back");
}

void checkList(const fs::path& file, const fs::path& copy) {
  const auto list = share::loadShareList(file);
  if (!list) return;
  fuzz::require(share::saveShareList(copy, *list).ok(), "a list can be written");
  const auto again = share::loadShareList(copy);
  fuzz::require(again.ok() && *again == *list, "and reads back");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static fuzz::MemoryFile file;
  static const struct Folder {
    const fs::path path = folder();
    ~Folder() { fs::remove_all(path); }
  } scratch;
  const fs::path copy = scratch.path / "copy";
  std::string_view input = fuzz::view(data, size);
  switch (fuzz::takeByte(input) % 3) {
    case 0:
      file.write(input);
      checkIndex(file.path(), copy);
      break;
    case 1:
      file.write(sealed(input));
      checkIndex(file.path(), copy);
      break;
    default:
      file.write(input);
      checkList(file.path(), copy);
  }
  return 0;
}
