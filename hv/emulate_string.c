/*
 * String instructions, with and without REP, between RAM, MMIO and ports. Called by emulate.c.
 *
 * Each call performs a bounded number of elements and then leaves RIP on the instruction, so that
 * interrupts are taken in between, as between the iterations on a CPU. A page is translated once
 * per call, as a TLB would.
 */
#include "hv/emulate_part.h"

enum { ELEMENTS_MAX = 64 };

/* One of the two sequences of elements. */
struct stream {
	bool used;
	uint8_t segment, reg;
	enum access access;
	bool valid; /* page is the translation of page_va */
	uint64_t page_va;
	struct operand_page page;
	struct operand now; /* the present element */
};

struct string {
	struct emulation *em;
	struct stream from, to;
	unsigned size;	       /* of an element */
	unsigned address_size; /* of RSI, RDI and RCX */
	uint64_t step;	       /* what is added to RSI and RDI */
	bool ports;
};

/* Which streams there are, by enum decode_string; all but CMPS and SCAS write at RDI. */
static const struct {
	bool from, to;
	enum access access;
} streams[] = {
	[STRING_MOVS] = {true, true, ACCESS_WRITE}, [STRING_STOS] = {false, true, ACCESS_WRITE},
	[STRING_LODS] = {true, false, ACCESS_READ}, [STRING_CMPS] = {true, true, ACCESS_READ},
	[STRING_SCAS] = {false, true, ACCESS_READ}, [STRING_INS] = {false, true, ACCESS_WRITE},
	[STRING_OUTS] = {true, false, ACCESS_READ},
};

static void string_init(struct string *s, struct emulation *em)
{
	const struct decoded *d = em->d;

	s->em = em;
	s->size = d->size;
	s->address_size = d->address_size;
	s->step = em->v->regs.rflags & RFLAGS_DF ? -(uint64_t)d->size : d->size;
	s->ports = d->arg == STRING_INS || d->arg == STRING_OUTS;
	s->from = (struct stream){
		.used = streams[d->arg].from,
		.segment = d->segment,
		.reg = RSI,
		.access = ACCESS_READ,
	};
	s->to = (struct stream){
		.used = streams[d->arg].to,
		.segment = SEG_ES,
		.reg = RDI,
		.access = streams[d->arg].access,
	};
}

/* Translates the next element of a stream into st->now. */
static enum emulate_result stream_next(struct string *s, struct stream *st)
{
	struct emulation *em = s->em;
	uint64_t offset = gpr_read(em, st->reg, s->address_size);
	unsigned in_page;
	gva_t va;
	enum emulate_result r;

	if (!st->used) {
		return EMULATE_DONE;
	}
	r = operand_linear(em, st->segment, offset, s->size, st->access, &va);
	if (r != EMULATE_DONE) {
		return r;
	}
	in_page = (unsigned)(va.v & PAGE_MASK);
	if (st->valid && va.v - in_page == st->page_va && in_page + s->size <= PAGE_SIZE &&
	    !(em->v->regs.rflags & RFLAGS_AC)) {
		st->now.size = st->now.first = s->size;
		st->now.page[0] = st->page;
		st->now.page[0].gpa.v += in_page;
		st->now.page[0].ram = st->page.ram ? st->page.ram + in_page : NULL;
		return EMULATE_DONE;
	}
	r = operand_translate(em, va, s->size, st->access, &st->now);
	if (r == EMULATE_DONE) {
		st->page_va = va.v - in_page;
		st->page = st->now.page[0];
		st->page.gpa.v -= in_page;
		st->page.ram = st->page.ram ? st->page.ram - in_page : NULL;
		st->valid = true;
	}
	return r;
}

static void stream_advance(struct string *s, const struct stream *st)
{
	if (st->used) {
		gpr_write(s->em, st->reg, s->address_size, s->em->v->regs.gpr[st->reg] + s->step);
	}
}

static bool stream_is_mmio(const struct stream *st)
{
	return st->used && operand_is_mmio(&st->now, st->access);
}

static uint64_t port(struct string *s, bool write, uint64_t value)
{
	const struct emulate_bus *bus = s->em->e->bus;
	struct bus_access a = {.value = value, .size = (uint8_t)s->size, .write = write};

	bus->port(bus->ctx, (uint16_t)s->em->v->regs.gpr[RDX], &a);
	return a.value;
}

static void compare(struct string *s, uint64_t a, uint64_t b)
{
	uint64_t rflags = s->em->v->regs.rflags;

	alu(ALU_CMP, s->size, a, b, &rflags);
	flags_write(s->em, rflags);
}

/* One element: both places are translated before the first access. */
static enum emulate_result element(struct string *s)
{
	struct emulation *em = s->em;
	enum emulate_result r = stream_next(s, &s->from);
	uint64_t v;

	if (r == EMULATE_DONE) {
		r = stream_next(s, &s->to);
	}
	if (r != EMULATE_DONE) {
		return r;
	}
	if (!s->ports && !stream_is_mmio(&s->from) && !stream_is_mmio(&s->to)) {
		return EMULATE_RETRY;
	}
	v = s->from.used ? operand_read(em, &s->from.now) : em->v->regs.gpr[RAX];
	switch ((enum decode_string)em->d->arg) {
	case STRING_MOVS:
	case STRING_STOS: operand_write(em, &s->to.now, v); break;
	case STRING_LODS: gpr_write(em, RAX, s->size, v); break;
	case STRING_CMPS:
	case STRING_SCAS: compare(s, v, operand_read(em, &s->to.now)); break;
	case STRING_INS: operand_write(em, &s->to.now, port(s, false, 0)); break;
	case STRING_OUTS: port(s, true, v); break;
	}
	stream_advance(s, &s->from);
	stream_advance(s, &s->to);
	return EMULATE_DONE;
}

/* Whether REPE or REPNE ends after the element that was just compared. */
static bool comparison_ends(const struct emulation *em)
{
	bool zero = em->v->regs.rflags & RFLAGS_ZF;

	if (em->d->arg != STRING_CMPS && em->d->arg != STRING_SCAS) {
		return false;
	}
	return zero == !!(em->d->flags & DECODE_REPNE);
}

static enum emulate_result repeat(struct string *s)
{
	struct emulation *em = s->em;
	unsigned most = em->v->regs.rflags & RFLAGS_TF ? 1 : ELEMENTS_MAX;

	for (unsigned done = 0;; done++) {
		uint64_t count = gpr_read(em, RCX, s->address_size);
		enum emulate_result r;

		if (!count || (done && comparison_ends(em))) {
			return EMULATE_DONE;
		}
		if (done == most) {
			break;
		}
		r = element(s);
		if (r == EMULATE_RETRY && done) {
			break;
		}
		if (r != EMULATE_DONE) {
			return r;
		}
		gpr_write(em, RCX, s->address_size, count - 1);
	}
	em->advance = 0;
	return EMULATE_DONE;
}

enum emulate_result emulate_string(struct emulation *em)
{
	struct string s;

	string_init(&s, em);
	if (s.ports == em->e->gpa_valid) {
		return EMULATE_RETRY; /* not the instruction that made the CPU exit */
	}
	return em->d->flags & (DECODE_REP | DECODE_REPNE) ? repeat(&s) : element(&s);
}
