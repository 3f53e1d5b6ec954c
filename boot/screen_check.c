/*
 * Whether the loader's screen can be written on: see screen.h. Pure; called once by boot/screen.c.
 *
 * The loader is trusted to mean well, not to be right: a wrong address would be written over.
 */
#include "boot/memory.h"
#include "boot/screen.h"
#include "hv/console/font.h"
#include "hv/cpu_facts.h"
#include "hv/pci.h"

enum { COLS_MIN = 40, ROWS_MIN = 10, SIDE_MAX = 16384, PITCH_MAX = 1 << 17 };
enum { TEXT_LOW = 0xa0000, TEXT_HIGH = 0xc0000, CLASS_DISPLAY = 0x03 };

static bool check_place(const struct boot_info *b, uint64_t base, uint64_t size, struct refusal *r)
{
	uint64_t end = cpu_address_limit();
	const char *what;

	if (base < TEXT_LOW || base >= end || size > end - base) {
		return refuse(r, "its address 0x%lx cannot be", base);
	}
	what = memory_meets(b, base, size);
	return !what || refuse(r, "0x%lx-0x%lx meets %s", base, base + size - 1, what);
}

static bool check_text(const struct boot_info *b, struct refusal *r)
{
	const struct boot_framebuffer *f = &b->framebuffer;
	uint64_t size = (uint64_t)f->pitch * f->height;

	if (f->width < COLS_MIN || f->width > SCREEN_COLS || f->height < ROWS_MIN ||
	    f->height > SCREEN_ROWS || f->pitch < f->width * 2 || f->pitch > PITCH_MAX) {
		return refuse(r, "text mode of %u x %u characters, %u bytes a line", f->width,
			      f->height, f->pitch);
	}
	if (f->base.v < TEXT_LOW || f->base.v >= TEXT_HIGH || size > TEXT_HIGH - f->base.v) {
		return refuse(r, "text at address 0x%lx", f->base.v);
	}
	return true;
}

static bool check_colour(const struct boot_framebuffer *f, unsigned pos, unsigned size)
{
	return size >= 1 && size <= 16 && pos < f->bpp && size <= f->bpp - pos;
}

static bool check_pixels(const struct boot_framebuffer *f, struct refusal *r)
{
	if (f->bpp != 15 && f->bpp != 16 && f->bpp != 24 && f->bpp != 32) {
		return refuse(r, "%u bits per pixel", f->bpp);
	}
	if (!check_colour(f, f->red_pos, f->red_size) ||
	    !check_colour(f, f->green_pos, f->green_size) ||
	    !check_colour(f, f->blue_pos, f->blue_size)) {
		return refuse(r, "colours that do not fit %u bits per pixel", f->bpp);
	}
	return true;
}

static bool check_framebuffer(const struct boot_info *b, struct framebuffer_mode *m,
			      struct refusal *r)
{
	const struct boot_framebuffer *f = &b->framebuffer;
	unsigned bytes = (f->bpp + 7u) / 8;

	if (f->width < COLS_MIN * FONT_WIDTH || f->width > SIDE_MAX ||
	    f->height < ROWS_MIN * FONT_HEIGHT || f->height > SIDE_MAX) {
		return refuse(r, "%u x %u pixels", f->width, f->height);
	}
	if (!check_pixels(f, r)) {
		return false;
	}
	if (f->pitch < f->width * bytes || f->pitch > PITCH_MAX) {
		return refuse(r, "%u bytes a line for %u pixels of %u", f->pitch, f->width, bytes);
	}
	*m = (struct framebuffer_mode){.pitch = f->pitch,
				       .width = f->width,
				       .height = f->height,
				       .bytes = (uint8_t)bytes,
				       .red_pos = f->red_pos,
				       .red_size = f->red_size,
				       .green_pos = f->green_pos,
				       .green_size = f->green_size,
				       .blue_pos = f->blue_pos,
				       .blue_size = f->blue_size};
	return check_place(b, f->base.v, (uint64_t)f->pitch * f->height, r);
}

bool screen_check(const struct boot_info *b, struct framebuffer_mode *m, struct refusal *r)
{
	switch (b->framebuffer.type) {
	case FRAMEBUFFER_RGB: return check_framebuffer(b, m, r);
	case FRAMEBUFFER_TEXT: return check_text(b, r);
	case FRAMEBUFFER_INDEXED: return refuse(r, "it has indexed colours");
	default: return refuse(r, "it is of type %u", b->framebuffer.type);
	}
}

/* --- who has it --- */

static bool meets(const struct boot_framebuffer *f, uint64_t base, uint64_t size)
{
	uint64_t own = (uint64_t)f->pitch * f->height;

	return base <= f->base.v ? f->base.v - base < size : base - f->base.v < own;
}

static bool function_meets(const struct boot_framebuffer *f, const struct pci_function *p)
{
	/* VGA text has no BAR: it is the display's, whichever that is. */
	bool has = f->type == FRAMEBUFFER_TEXT && p->class_revision >> 24 == CLASS_DISPLAY;

	for (unsigned i = 0; i < PCI_BARS; i++) {
		has |= p->bar[i].size && !p->bar[i].io && meets(f, p->bar[i].base, p->bar[i].size);
	}
	return has;
}

static bool guest_meets(const struct boot_framebuffer *f, const struct config_guest *g)
{
	for (unsigned i = 0; i < g->mmios; i++) {
		if (meets(f, g->mmio[i].base, g->mmio[i].size)) {
			return true;
		}
	}
	for (unsigned i = 0; i < g->pcis; i++) {
		const struct config_pci *at = &g->pci[i];
		const struct pci_function *p = pci_find(pci_bdf(at->bus, at->device, at->function));

		if (p && function_meets(f, p)) {
			return true;
		}
	}
	return false;
}

const char *screen_owner(const struct boot_framebuffer *f, const struct config *c)
{
	for (unsigned i = 0; i < c->guests; i++) {
		if (guest_meets(f, &c->guest[i])) {
			return c->guest[i].name;
		}
	}
	return NULL;
}
