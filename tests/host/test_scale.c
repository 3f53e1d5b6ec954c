/*
 * hv/lib/scale.h: exactness, monotony, and that a deadline is due when it is reached.
 */
#include "hv/lib/scale.h"
#include "tests/host/test.h"

static const uint64_t rates[] = {1000000,    3579545,	 50000000,   999999999,	 1000000000,
				 2399998765, 3000000000, 5800000001, 19999999999};
static const uint64_t clocks[] = {32768, 1193182, 3579545};

static uint64_t random_state = 88172645463325252ull;

static uint64_t next_random(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

static uint64_t exact(uint64_t x, uint64_t from, uint64_t to)
{
	return (uint64_t)((unsigned __int128)x * to / from);
}

TEST(never_short_and_less_than_one_long)
{
	for (unsigned i = 0; i < ARRAY_SIZE(rates); i++) {
		for (unsigned j = 0; j < ARRAY_SIZE(clocks); j++) {
			struct scale s = scale_make(rates[i], clocks[j]);

			for (unsigned n = 0; n < 2000; n++) {
				/* up to 2^62: 48 years at 3 GHz */
				uint64_t x = next_random() >> (2 + n % 60);
				uint64_t want = exact(x, rates[i], clocks[j]);

				CHECK(scale(&s, x) - want <= 1);
			}
		}
	}
}

TEST(exact_for_the_first_second)
{
	for (unsigned i = 0; i < ARRAY_SIZE(rates); i++) {
		for (unsigned j = 0; j < ARRAY_SIZE(clocks); j++) {
			struct scale s = scale_make(rates[i], clocks[j]);

			CHECK_EQ(scale(&s, 0), 0);
			CHECK_EQ(scale(&s, rates[i]), clocks[j]);
			CHECK_EQ(scale(&s, rates[i] - 1), exact(rates[i] - 1, rates[i], clocks[j]));
			for (unsigned n = 0; n < 2000; n++) {
				uint64_t x = next_random() % rates[i];

				CHECK_EQ(scale(&s, x), exact(x, rates[i], clocks[j]));
			}
		}
	}
}

TEST(monotonous)
{
	struct scale s = scale_make(2399998765, 1193182);

	for (unsigned n = 0; n < 10000; n++) {
		uint64_t x = next_random() >> 2, step = next_random() >> (n % 64);

		step = step < UINT64_MAX / 4 ? step : 1;
		CHECK(scale(&s, x) <= scale(&s, x + step));
	}
}

TEST(deadlines_are_due_and_not_late)
{
	for (unsigned i = 0; i < ARRAY_SIZE(rates); i++) {
		for (unsigned j = 0; j < ARRAY_SIZE(clocks); j++) {
			struct scale there = scale_make(rates[i], clocks[j]);
			struct scale back = scale_make(clocks[j], rates[i]);

			for (unsigned n = 0; n < 2000; n++) {
				/* ticks of ten years at most */
				uint64_t tick = next_random() % (clocks[j] * 86400 * 3652);
				uint64_t at = scale_deadline(&back, tick);

				CHECK(scale(&there, at) >= tick);
				CHECK(at - exact(tick, clocks[j], rates[i]) <= 2);
			}
		}
	}
}
