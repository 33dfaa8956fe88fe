#include "data/text_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/core/replaced.h"
#include "tests/data/test_data.h"

namespace heed::data {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

template <class Fn>
std::string message_of(Fn&& fn) {
  try {
    fn();
  } catch (const RequestError& error) {
    return error.what();
  }
  return "(no error)";
}

class TextSourceTest : public testing::Test {
 protected:
  TextSourceTest() {
    folder_.write("b.txt", "bee");
    folder_.write("a.txt", "ay");
    folder_.write("sub/deep/c.txt", "sea");
    folder_.write("sub/d.md", "dee");
    folder_.write(".hidden/e.txt", "e");
  }
  std::vector<std::string> names(const std::vector<std::string>& patterns) {
    std::vector<std::string> names;
    for (const std::string& file : find_text_files(patterns)) {
      names.push_back(file.substr(folder_.path().size() + 1));
    }
    return names;
  }
  TemporaryFolder folder_;
};

TEST_F(TextSourceTest, FindsFilesFoldersAndPatternsOnceInOrder) {
  EXPECT_THAT(names({folder_.path()}), ElementsAre("a.txt", "b.txt", "sub/d.md", "sub/deep/c.txt"));
  EXPECT_THAT(names({folder_ / "*.txt"}), ElementsAre("a.txt", "b.txt"));
  EXPECT_THAT(names({folder_ / "**/*.txt"}), ElementsAre("a.txt", "b.txt", "sub/deep/c.txt"));
  EXPECT_THAT(names({folder_ / "[b-z].txt", folder_ / "?.txt", folder_ / "sub/../a.txt"}),
              ElementsAre("a.txt", "b.txt"));
}

TEST_F(TextSourceTest, ExpandsEnvironmentVariables) {
  {
    const ReplacedVariable variable("HEED_TEST_FOLDER", folder_.path());
    EXPECT_THAT(names({"${HEED_TEST_FOLDER}/a.txt"}), ElementsAre("a.txt"));
  }
  EXPECT_THAT(message_of([] {
                find_text_files({"${HEED_TEST_FOLDER}/a.txt"}, {"r.yaml", 3, 8});
              }),
              testing::AllOf(HasSubstr("r.yaml:3:8"), HasSubstr("HEED_TEST_FOLDER")));
}

TEST_F(TextSourceTest, SaysWhatIsThereWhenNothingMatches) {
  EXPECT_THAT(message_of([&] { find_text_files({folder_ / "aa.txt"}); }), HasSubstr("'a.txt'"));
  EXPECT_THAT(message_of([&] { find_text_files({folder_ / "sub/x/*.txt"}); }),
              HasSubstr("'" + (folder_ / "sub") + "'"));
  EXPECT_THAT(message_of([&] {
                find_text_files({folder_ / "a.txt", folder_ / "none*"});
              }),
              HasSubstr("none*"))
      << "each pattern has to match something";
  EXPECT_THROW(find_text_files({}), RequestError);
}

TEST_F(TextSourceTest, ReadsUpToTheCapAtACharacter) {
  folder_.write("u/1.txt", "ab");
  folder_.write("u/2.txt", "\xE2\x82\xAC\xE2\x82\xAC");
  folder_.write("u/3.txt", "z");
  const TextSource all = read_text({folder_ / "u"});
  EXPECT_EQ(all.bytes(), 9);
  EXPECT_FALSE(all.capped);
  const TextSource some = read_text({folder_ / "u"}, 6);
  ASSERT_EQ(some.documents.size(), 2u);
  EXPECT_EQ(some.documents[1].text, "\xE2\x82\xAC");
  EXPECT_TRUE(some.capped);
  EXPECT_FALSE(read_text({folder_ / "u"}, 9).capped);
}

TEST_F(TextSourceTest, LeavesOutBinariesAndEmptyFiles) {
  folder_.write("m/binary", std::string("a\0b", 3));
  folder_.write("m/empty", "");
  EXPECT_THAT(message_of([&] { read_text({folder_ / "m"}); }), HasSubstr("NUL"));
  EXPECT_THAT(message_of([&] { read_text({folder_ / "m/empty"}); }), HasSubstr("empty"));
  folder_.write("m/text", "t");
  const TextSource source = read_text({folder_ / "m"});
  EXPECT_EQ(source.documents.size(), 1u);
  EXPECT_THAT(source.skipped, ElementsAre(folder_ / "m/binary"));
}

TEST_F(TextSourceTest, EveryLineOfJsonLinesIsADocument) {
  folder_.write("j/a.jsonl",
                "{\"text\": \"one\\ntwo\", \"id\": 1}\n\n{\"id\": 2, \"text\": \"three\"}\n");
  folder_.write("j/b.txt", "four");
  const TextSource source = read_text({folder_ / "j"});
  ASSERT_EQ(source.documents.size(), 3u);
  EXPECT_EQ(source.documents[0].text, "one\ntwo");
  EXPECT_EQ(source.documents[1].text, "three");
  EXPECT_THAT(source.documents[1].path, HasSubstr("a.jsonl:3"));
  EXPECT_EQ(source.documents[2].text, "four");
  const TextSource some = read_text({folder_ / "j"}, 9);
  EXPECT_TRUE(some.capped);
  EXPECT_EQ(some.bytes(), 9);
  EXPECT_EQ(read_text({folder_ / "j/a.jsonl"}, 0, {}, "id").documents[1].text, "2");
  EXPECT_THAT(message_of([&] { read_text({folder_ / "j/a.jsonl"}, 0, {}, "body"); }),
              HasSubstr("a.jsonl:1"));
}

}  // namespace
}  // namespace heed::data
