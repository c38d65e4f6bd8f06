#include "peer/transfer/sent_lists.h"

#include <utility>

namespace espalier::transfer {

Result<SentLists::List> SentLists::of(FileSource& source, const FileRoot& root) {
  auto known = lists_.with([&](auto& lists) {
    const auto place = lists.find(root);
    return place == lists.end() ? List() : place->second.lock();
  });
  if (known) return known;
  auto read = source.chunkHashes(root);
  if (!read) return read.error();
  List list = std::make_shared<const std::vector<Digest>>(std::move(*read));
  lists_.with([&](auto& lists) {
    std::erase_if(lists, [](const auto& each) { return each.second.expired(); });
    lists[root] = list;
  });
  return list;
}

}  // namespace espalier::transfer
