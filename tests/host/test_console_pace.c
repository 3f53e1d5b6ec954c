/*
 * Serial ports that take nothing: boot/console_pace.c.
 */
#include "boot/console_pace.h"
#include "test.h"

TEST(a_busy_port_is_waited_for)
{
	struct pace p = {0};

	for (uint64_t now = 1000; now < 100000; now += 100) {
		CHECK_EQ(pace_ask(&p, false, now, 200), PACE_WAIT);
		CHECK_EQ(pace_ask(&p, false, now + 50, 200), PACE_WAIT);
		CHECK_EQ(pace_ask(&p, true, now + 90, 200), PACE_WRITE);
		CHECK_EQ(p.since, 0);
	}
}

TEST(a_port_that_takes_nothing_is_left_behind)
{
	struct pace p = {0};

	CHECK_EQ(pace_ask(&p, false, 1000, 200), PACE_WAIT);
	CHECK_EQ(pace_ask(&p, false, 1199, 200), PACE_WAIT);
	CHECK_EQ(pace_ask(&p, false, 1200, 200), PACE_SKIP);
	CHECK_EQ(pace_ask(&p, false, 1201, 200), PACE_SKIP);
	CHECK(p.since != 0);
	CHECK_EQ(pace_ask(&p, true, 9000, 200), PACE_WRITE);
	CHECK_EQ(pace_ask(&p, false, 9001, 200), PACE_WAIT);
}

TEST(a_port_that_was_waited_for_is_not_again)
{
	struct pace p = {0};

	pace_give_up(&p, 1000);
	CHECK_EQ(pace_ask(&p, false, 1001, 200), PACE_SKIP);
	CHECK_EQ(pace_ask(&p, true, 1002, 200), PACE_WRITE);
	CHECK(!p.stuck);
}
