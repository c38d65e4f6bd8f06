// What a page shows at one moment: things in groups, each with a key and its JSON. Two pictures
// differ by changes, which are the events of the page.
//
//   {"peers":{"s1":{"order":1,…},"s2":{…}},"servers":{…}}
//
//   changes: set  {"in":"peers","key":"s2","value":{…}}
//            gone {"in":"peers","key":"s1"}
//
// A value. changes() costs O(both pictures) comparisons of texts.
#pragma once

#include <functional>
#include <map>
#include <string>

#include "common/command/outcome.h"

namespace espalier::web {

// A group's things by key: each is one line of JSON.
using Group = std::map<std::string, std::string>;
using Picture = std::map<std::string, Group>;

struct Change {
  const std::string& group;
  const std::string& key;
  const std::string* value;  // null: it is gone
};

// Those that lead from one picture to the other: what is gone first.
void eachChange(const Picture& from, const Picture& to,
                const std::function<void(const Change&)>& take);

// One line; bytes that are no UTF-8 become U+FFFD.
std::string lineOf(const command::Json& data);

std::string kindOf(const Change& change);  // "set", "gone"
std::string jsonOf(const Change& change);
std::string jsonOf(const Picture& picture);

}  // namespace espalier::web
