/*
 * The loader's screen as a console: see screen.h; and the screen functions of hv/host.h. Which
 * screen there is belongs to this file, what it shows to hv/console/view.c.
 */
#include "boot/screen.h"
#include "arch/x86_64/paging.h"
#include "drivers/vga_text.h"
#include "hv/console/view.h"
#include "hv/host.h"
#include "hv/log.h"

enum screen_kind { SCREEN_NONE, SCREEN_TEXT, SCREEN_PIXELS };

static enum screen_kind kind; /* what is there */
static bool reachable;	      /* mapped, and to be drawn on */
static struct boot_framebuffer place;
static struct framebuffer_mode mode;

static uint64_t place_size(void)
{
	return (uint64_t)place.pitch * place.height;
}

static void start(void *at)
{
	if (kind == SCREEN_TEXT) {
		vga_text_init(at, place.width, place.height, place.pitch);
	} else {
		framebuffer_init(&mode, at);
	}
	reachable = true;
}

void screen_begin(const struct boot_info *b)
{
	struct refusal r = {""};

	if (!b->framebuffer.present || kind != SCREEN_NONE) {
		return;
	}
	if (!screen_check(b, &mode, &r)) {
		log_line("screen: the loader's screen is not used: %s", r.text);
		return;
	}
	place = b->framebuffer;
	kind = place.type == FRAMEBUFFER_TEXT ? SCREEN_TEXT : SCREEN_PIXELS;
	if (place.base.v + place_size() <= GIB(4)) {
		/* start.asm's tables map it one to one. */
		start((void *)place.base.v);
		view_begin();
	}
}

void screen_remap(void)
{
	bool known = reachable;

	if (kind == SCREEN_NONE) {
		return;
	}
	reachable = false;
	start(paging_map_write_combining(place.base, place_size()));
	if (!known) {
		view_begin();
	}
}

bool screen_present(void)
{
	return reachable;
}

void screen_end(const char *words)
{
	if (reachable) {
		view_end(words);
	}
	reachable = false;
	kind = SCREEN_NONE;
}

void screen_yield(const struct config *c)
{
	const char *owner = reachable ? screen_owner(&place, c) : NULL;

	if (owner) {
		log_line("screen: guest %s has the display; it is no console from here on", owner);
		screen_end("");
	}
}

bool host_screen_size(unsigned *cols, unsigned *rows)
{
	if (!reachable) {
		return false;
	}
	if (kind == SCREEN_TEXT) {
		vga_text_size(cols, rows);
	} else {
		framebuffer_size(cols, rows);
	}
	return true;
}

void host_screen_draw(unsigned col, unsigned row, const struct screen_cell *cells, unsigned n)
{
	if (!reachable) {
		return;
	}
	if (kind == SCREEN_TEXT) {
		vga_text_draw(col, row, cells, n);
	} else {
		framebuffer_draw(col, row, cells, n);
	}
}
