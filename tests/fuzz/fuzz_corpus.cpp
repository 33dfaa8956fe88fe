// CorpusReader on a file of any bytes. The first byte says of which kind: JSON lines, the same
// packed, text by paragraphs, by lines or as a whole, a tar archive. What is read is read again
// from each place between two documents.
#include <unistd.h>

#include <filesystem>
#include <string>
#include <vector>

#include "core/files.h"
#include "data/corpus_reader.h"
#include "tests/fuzz/harness.h"

namespace {

using heed::data::CorpusDocument;
using heed::data::CorpusPlace;
using heed::data::CorpusReader;

struct Kind {
  const char *ending, *documents;
};
constexpr Kind kKinds[] = {{".jsonl", "file"}, {".jsonl.gz", "file"}, {".txt", "paragraph"},
                           {".txt", "line"},   {".txt", "file"},      {".txt.gz", "line"},
                           {".tar", "file"}};

std::string folder() {
  static const std::string path = [] {
    const std::filesystem::path memory = "/dev/shm";
    const auto where =
        std::filesystem::is_directory(memory) ? memory : std::filesystem::temp_directory_path();
    return (where / ("heed-fuzz-" + std::to_string(getpid()))).string();
  }();
  std::filesystem::create_directories(path);
  return path;
}

// As many as one run takes without getting slow.
constexpr size_t kMost = 64;

std::vector<std::string> rest_of(CorpusReader& reader) {
  std::vector<std::string> texts;
  CorpusDocument document;
  while (texts.size() < kMost && reader.next(document)) {
    heed::promise(!document.text.empty(), "no document is empty");
    texts.push_back(document.text);
  }
  return texts;
}

}  // namespace

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const Kind& kind = kKinds[data[0] % std::size(kKinds)];
  const std::string path = folder() + "/input" + kind.ending;
  std::FILE* file = std::fopen(path.c_str(), "wb");
  heed::promise(file != nullptr, "the input can be written");
  std::fwrite(data + 1, 1, size - 1, file);
  std::fclose(file);
  heed::read_or_refuse([&] {
    heed::data::CorpusOptions options;
    options.files = {path};
    options.documents = kind.documents;
    CorpusReader reader(options);
    std::vector<CorpusPlace> places;
    std::vector<std::string> texts;
    CorpusDocument document;
    places.push_back(reader.place());
    while (texts.size() < kMost && reader.next(document)) {
      texts.push_back(document.text);
      places.push_back(reader.place());
    }
    for (const size_t at : {size_t{0}, texts.size() / 2, texts.size()}) {
      CorpusReader again(options);
      again.seek(places[at]);
      std::vector<std::string> rest = rest_of(again);
      rest.resize(std::min(rest.size(), texts.size() - at));
      heed::promise(rest == std::vector<std::string>(
                                texts.begin() + static_cast<std::ptrdiff_t>(at), texts.end()),
                    "a reader goes on at a place as if it had read what lies before");
    }
  });
  std::filesystem::remove(path);
  return 0;
}
