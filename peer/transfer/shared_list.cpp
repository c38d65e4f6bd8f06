#include "peer/transfer/shared_list.h"

#include <string>
#include <utility>
#include <variant>

#include "common/base/limits.h"
#include "common/base/text.h"
#include "peer/share/share_name.h"
#include "peer/transfer/fetch_problem.h"

namespace espalier::transfer {
namespace {

// Of the names in a list: 100,000 names of full length would be 100 MB, and several copies.
constexpr std::size_t kListBytes = 8u << 20;

// A text that sorts before all that begin with `prefix`, and after almost everything else.
std::string before(std::string_view prefix) {
  std::string text(prefix);
  if (text.empty()) return text;
  if (text.back() <= 1) {
    text.pop_back();  // then some more names come, which are skipped
  } else {
    --text.back();
    text += "\xff\xff";  // not in UTF-8
  }
  return text;
}

}  // namespace

Result<SharedList> listShared(const Holder& holder, Timeouts timeouts,
                              net::Interrupter& interrupter, std::string_view prefix) {
  HolderConnection connection(holder.endpoint, timeouts, interrupter);
  SharedList list;
  std::size_t passed = 0;  // names before the prefix, and names that no shared file can have
  std::size_t bytes = 0;
  wire::ListRequest request{before(prefix)};
  const TimePoint begun = Clock::now();
  connection.queue(request);
  if (auto opened = connection.open(); !opened) return opened.error();
  while (true) {
    auto answer = connection.receive();
    if (!answer) return answer.error();
    if (const auto* failure = std::get_if<wire::TransferFailure>(&*answer)) {
      return Error{ErrorCode::failed, escaped(failure->message)};
    }
    auto* page = std::get_if<wire::FileList>(&*answer);
    if (!page) return Error{ErrorCode::protocol, "another answer than the list asked for"};
    list.indexing = list.indexing || page->indexing;
    if (page->more && page->files.empty()) {
      return unexpected("an empty page of a list that goes on");
    }
    for (auto& file : page->files) {
      if (file.name <= request.after) {
        return Error{ErrorCode::protocol, "a list that does not go on in the order of its names"};
      }
      request.after = file.name;
      const bool isAsked = file.name.starts_with(prefix);
      if (!isAsked && file.name > prefix) return list;
      if (!isAsked || share::nameFault(file.name) != share::NameFault::none) {
        if (++passed > limits::kListFiles) return unexpected("names that nobody asked for");
        continue;
      }
      bytes += file.name.size();
      if (list.files.size() == limits::kListFiles || bytes > kListBytes) {
        // Only the holder could count how many more begin with a prefix.
        const bool counted = prefix.empty() && page->total > list.files.size();
        list.more = counted ? page->total - list.files.size() : 1;
        return list;
      }
      list.files.push_back(std::move(file));
    }
    if (!page->more) return list;
    if (Clock::now() - begun > limits::kListPatience) {
      return Error{ErrorCode::timeout, "its list takes too long"};
    }
    connection.queue(request);
    if (auto sent = connection.flush(); !sent) return sent.error();
  }
}

}  // namespace espalier::transfer
