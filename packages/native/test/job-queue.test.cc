/** The job queue by itself: order, destruction of every job, ends in the middle of work. Made for ThreadSanitizer, too. */
#include <rwkv/addon/job-queue.h>

#include <cstdio>
#include <cstdlib>
#include <vector>

using rwkv::addon::Job;
using rwkv::addon::JobQueue;

namespace {

void expect(bool condition, const char* what) {
  if (condition) return;
  printf("failed: %s\n", what);
  exit(1);
}

/** Plain numbers, which only the queue's hand-overs keep from being a race. */
struct Record {
  std::vector<unsigned> done;
  unsigned running = 0;
};

std::atomic<unsigned> alive{0};

class RecordingJob final : public Job {
 public:
  RecordingJob(Record& record, unsigned number, unsigned pauses) : record_(record), number_(number), pauses_(pauses) {
    alive++;
  }
  ~RecordingJob() override { alive--; }

  void run() override {
    expect(record_.running++ == 0, "one job runs at a time");
    for (unsigned i = 0; i < pauses_; i++) std::this_thread::yield();
    record_.done.push_back(number_);
    record_.running--;
  }

 private:
  Record& record_;
  unsigned number_, pauses_;
};

/** Jobs of all lengths, with idle times that let the thread fall asleep between. */
void runs_jobs_in_order(unsigned spin_microseconds) {
  constexpr unsigned kJobs = 200;
  Record record;
  std::atomic<unsigned> finished{0};
  auto queue = JobQueue::create({spin_microseconds, [&](std::unique_ptr<Job> job) {
                                   job.reset();
                                   finished++;
                                 }});
  expect(queue != nullptr, "the system gives a thread");
  for (unsigned i = 0; i < kJobs; i++) {
    queue->enqueue(std::make_unique<RecordingJob>(record, i, i % 7));
    if (i % 50 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  while (finished < kJobs) std::this_thread::yield();
  queue->stop();
  expect(record.done.size() == kJobs, "every job runs once");
  for (unsigned i = 0; i < kJobs; i++) expect(record.done[i] == i, "jobs run in order");
  expect(alive == 0, "every job is destroyed");
}

/** What is queued when the queue stops is dropped, and nothing runs afterwards. */
void stops_in_the_middle(unsigned round) {
  Record record;
  auto queue = JobQueue::create({round % 3 * 20, [](std::unique_ptr<Job>) {}});
  expect(queue != nullptr, "the system gives a thread");
  for (unsigned i = 0; i < 50; i++) queue->enqueue(std::make_unique<RecordingJob>(record, i, 20));
  if (round % 2 == 0) std::this_thread::yield();
  queue->stop();
  expect(queue->stopping(), "the queue says that it stops");
  const size_t done = record.done.size();
  for (size_t i = 0; i < done; i++) expect(record.done[i] == i, "what ran was in order");
  queue->enqueue(std::make_unique<RecordingJob>(record, 99, 0));
  expect(record.done.size() == done && alive == 0, "a stopped queue takes nothing");
  queue->stop();
}

}  // namespace

int main() {
  for (const unsigned spin : {0u, 50u, 2000u}) runs_jobs_in_order(spin);
  for (unsigned round = 0; round < 200; round++) stops_in_the_middle(round);
  return 0;
}
