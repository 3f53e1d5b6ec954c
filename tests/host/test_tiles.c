/*
 * Where tiles stand on screens of all sizes.
 */
#include "hv/console/tiles.h"
#include "test.h"

static const unsigned sizes[][2] = {{40, 10},  {80, 25},  {80, 50},  {100, 37},
				    {128, 48}, {160, 50}, {240, 67}, {256, 96}};

TEST(tiles_fill_the_screen_without_overlap)
{
	static uint8_t owner[SCREEN_ROWS][SCREEN_COLS];

	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		unsigned cols = sizes[i][0], rows = sizes[i][1];

		for (unsigned guests = 1; guests <= MAX_GUESTS; guests++) {
			struct tiles t;
			unsigned free = 0;

			tiles_place(&t, guests, cols, rows);
			memset(owner, 0, sizeof(owner));
			for (unsigned g = 0; g <= guests; g++) {
				struct screen_area *a = g < guests ? &t.guest[g] : &t.log;

				CHECK(a->rows >= 1 && a->cols >= 18);
				CHECK(a->rows >= 2 || rows == 10);
				CHECK(a->col + a->cols <= cols && a->row + a->rows <= rows);
				for (unsigned y = a->row; y < a->row + a->rows; y++) {
					for (unsigned x = a->col; x < a->col + a->cols; x++) {
						CHECK(!owner[y][x]);
						owner[y][x] = 1;
					}
				}
			}
			for (unsigned y = 0; y < rows; y++) {
				for (unsigned x = 0; x < cols; x++) {
					free += !owner[y][x];
				}
			}
			/* Only the lines between columns are nobody's. */
			CHECK(free <= rows * (cols / 20));
			CHECK(t.log.cols == cols && t.log.row + t.log.rows == rows);
		}
	}
}

TEST(two_guests_on_a_text_screen_are_one_above_the_other)
{
	struct tiles t;

	tiles_place(&t, 2, 80, 25);
	CHECK(t.guest[0].cols == 80 && t.guest[1].cols == 80);
	CHECK(t.guest[0].rows >= 9 && t.guest[1].rows >= 9);
	CHECK_EQ(t.log.rows, 6);
	tiles_place(&t, 2, 240, 67); /* and beside each other where there is room */
	CHECK(t.guest[0].cols >= 100 && t.guest[0].rows == t.guest[1].rows);
}
