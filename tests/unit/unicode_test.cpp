#include "common/base/unicode.h"

#include <doctest/doctest.h>
#include <rapidcheck.h>
#include <utf8proc.h>

#include <chrono>
#include <string>
#include <vector>

#include "common/base/look_alike.h"
#include "common/base/text.h"

using namespace espalier;

namespace {

std::string utf8(const std::u32string& text) {
  std::string result;
  for (const char32_t c : text) {
    std::uint8_t bytes[4];
    const auto size = utf8proc_encode_char(static_cast<utf8proc_int32_t>(c), bytes);
    result.append(reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(size));
  }
  return result;
}

// The library's result, however long it takes.
std::u32string byLibrary(std::string_view text, int options) {
  std::vector<utf8proc_int32_t> buffer(20 * text.size() + 20);
  const auto size = static_cast<utf8proc_ssize_t>(buffer.size());
  const auto count = utf8proc_decompose(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                                        static_cast<utf8proc_ssize_t>(text.size()), buffer.data(),
                                        size, static_cast<utf8proc_option_t>(options));
  const auto length =
      utf8proc_normalize_utf32(buffer.data(), count, static_cast<utf8proc_option_t>(options));
  return {buffer.begin(), buffer.begin() + length};
}

constexpr int kNfc = UTF8PROC_STABLE | UTF8PROC_COMPOSE;
constexpr int kNfd = UTF8PROC_STABLE | UTF8PROC_DECOMPOSE;

bool same(std::string_view a, std::string_view b) {
  return caseFolded(a) == caseFolded(b);
}

}  // namespace

TEST_CASE("names that look alike have one skeleton, and letters that only seem Latin are shown") {
  CHECK(skeletonOf("s1O") == skeletonOf("slo"));
  CHECK(skeletonOf("\u0455\uff14") == skeletonOf("s4"));
  CHECK(skeletonOf("s4") != skeletonOf("s5"));
  CHECK(shownName("\u0455\u0442") == "\u0455\u0442");  // with a letter that is no Latin one
  CHECK(shownName("\u0455\u0441") == "\\u{0455}\\u{0441}");
  CHECK(shownName("p\u0430ul") == "p\\u{0430}ul");
  CHECK(shownName("p\u00e4ul") == "p\u00e4ul");
  CHECK(shownName("a\x1b[2J") == "a\\x1b[2J");
  CHECK(differenceOf("sa", "s\u0430") == "a is U+0061, \u0430 is U+0430");
}

TEST_CASE("the case of every alphabet is folded, and letters that become several") {
  CHECK(same("ŁÓDŹ", "łódź"));
  CHECK(same("ÇĞİŞ", "çği̇ş"));
  CHECK(same("ΣΊΣΥΦΟΣ", "σίσυφος"));
  CHECK(same("МОСКВА Ё Ђ Ӝ Ԁ", "москва ё ђ ӝ ԁ"));
  CHECK(same("ԵՐԵՎԱՆ", "երեվան"));
  CHECK(same("ⴀⴁ", "ႠႡ"));
  CHECK(same("ᏣᎳᎩ", "ꮳꮃꭹ"));
  CHECK(same("STRASSE", "straße"));
  CHECK(same("ẞ", "ß"));
  CHECK(same("ﬁn", "FIN"));
  CHECK(same("𐐀", "𐐨"));
  CHECK(same("ŠĐČĆŽ Ā Ơ Ǆ", "šđčćž ā ơ ǆ"));
  CHECK_FALSE(same("a", "ä"));
  CHECK_FALSE(same("×", "÷"));
  CHECK_FALSE(same("x²", "x2"));
  CHECK_FALSE(same("i", "ı"));
}

TEST_CASE("how a text is composed does not matter") {
  CHECK(same("ŁÓDŹ", "ło\u0301dz\u0301"));
  CHECK(composed("o\u0301") == composed("ó"));
  CHECK(composed("o\u0301") != composed("o"));
  CHECK(composed("한글") == composed("한글"));
  CHECK(composed("q\u0307\u0323") == composed("q\u0323\u0307"));
  CHECK(composed("Å") == composed("Å"));  // the sign of ångström
  // Iota below: where it folds to a letter of its own, marks of the letter stay before it.
  CHECK(same("ᾀ\u0301", "α\u0313\u0301\u0345"));
  CHECK(same("α\u0345\u0301", "α\u0301\u0345"));
}

TEST_CASE("bytes that are not UTF-8 stand for themselves between characters") {
  CHECK(composed("a\xff\u0301") == std::u32string{'a', kRawByte + 0xff, 0x301});
  CHECK(caseFolded("A\xc0\x80\xed\xa0\x80")[1] == kRawByte + 0xc0);
  CHECK(composed("\xe4\xb8").size() == 2);
  CHECK(composed("\xf4\x90\x80\x80").size() == 4);
  CHECK(composed("").empty());
}

TEST_CASE("every character folds and composes as the library says, alone and among others") {
  for (char32_t c = 1; c < 0x110000; ++c) {
    if (c >= 0xd800 && c <= 0xdfff) continue;
    const auto text = utf8({c});
    REQUIRE(isUtf8(text));
    const auto nfc = composed(text);
    const auto nfd = utf8(byLibrary(text, kNfd));
    if (nfc != byLibrary(text, kNfc) || composed(nfd) != nfc) FAIL_CHECK(unsigned(c));
    const auto folded = byLibrary(nfd, kNfc | UTF8PROC_CASEFOLD);
    if (caseFolded(text) != folded || caseFolded(nfd) != folded) FAIL_CHECK(unsigned(c));
    if (caseFolded(utf8(folded)) != folded) FAIL_CHECK(unsigned(c));  // once is enough
    if (folded.size() > 4 || nfc.size() > 4) FAIL_CHECK(unsigned(c));
  }
}

TEST_CASE("texts of letters, marks and what composes are as the library makes them") {
  CHECK(rc::check([] {
    const auto any = rc::gen::elementOf(std::u32string(
        U"aAeóÉßИйΑΐς\u0301\u0307\u0323\u0327\u0345각가\u1100\u1161\u11a8か\u3099字"));
    const auto text = utf8(*rc::gen::container<std::u32string>(any));
    RC_ASSERT(composed(text) == byLibrary(text, kNfc));
    const auto nfd = utf8(byLibrary(text, kNfd));
    RC_ASSERT(composed(nfd) == composed(text));
    RC_ASSERT(caseFolded(nfd) == caseFolded(text));
    RC_ASSERT(caseFolded(text) == byLibrary(nfd, kNfc | UTF8PROC_CASEFOLD));
  }));
}

TEST_CASE("marks by the thousand, in the worst order, cost no more than other text") {
  std::string text = "a";
  for (int i = 0; i < 1'000'000; ++i) text += i < 500'000 ? "\u0301" : "\u0323";
  const auto begun = std::chrono::steady_clock::now();
  CHECK(composed(text).size() == 1'000'000);
  // Sorted by insertion it would take 250,000,000,000 steps.
  CHECK(std::chrono::steady_clock::now() - begun < std::chrono::seconds(60));
}
