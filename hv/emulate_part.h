/*
 * What the files of the emulator share: the state of one emulation, and memory operands.
 * Private to emulate*.c.
 */
#pragma once

#include "hv/decode.h"
#include "hv/emulate.h"
#include "hv/emulate_alu.h"
#include "hv/lib/string.h"

/* One instruction under way; lives on the stack of emulate(). */
struct emulation {
	struct emulate *e;
	struct vcpu *v;
	const struct decoded *d;
	unsigned bits;	  /* of the code: 16, 32, 64 */
	unsigned advance; /* by how much RIP moves on when all went well */
	struct gwalk_mode mode;
};

/* --- emulate_fetch.c --- */

/* Fills em for the vCPU's present state; em->d is not set. */
void emulate_begin(struct emulation *em, struct emulate *e);

/* Points em->d at the instruction at RIP. */
enum emulate_result emulate_fetch(struct emulation *em);

/* --- emulate_operand.c --- */

enum access { ACCESS_READ, ACCESS_WRITE, ACCESS_MODIFY };

/* A memory operand whose address was checked and translated, in the one or two pages it touches. */
struct operand {
	unsigned size;
	unsigned first; /* bytes in the first page */
	struct operand_page {
		uint8_t *ram;  /* NULL: MMIO */
		bool writable; /* RAM that the guest may write; else writes go to the bus */
		gpa_t gpa;
	} page[2];
};

/* Base, index, scale and displacement; the upper bits may be too many. The registers are valid. */
static inline uint64_t emulate_sum(const struct vcpu_regs *r, const struct decoded *d)
{
	uint64_t at = (uint64_t)d->disp;

	if (d->base == DECODE_BASE_RIP) {
		at += r->rip + d->len;
	} else if (d->base != DECODE_NO_REG) {
		at += r->gpr[d->base];
	}
	if (d->index != DECODE_NO_REG) {
		at += r->gpr[d->index] << d->scale;
	}
	return at;
}

static inline bool operand_canonical(const struct emulation *em, uint64_t va)
{
	unsigned unused = em->v->regs.cr4 & CR4_LA57 ? 7 : 16;

	return (uint64_t)((int64_t)(va << unused) >> unused) == va;
}

/* Segmentation: checks an access and gives its linear address. */
enum emulate_result operand_linear(struct emulation *em, unsigned segment, uint64_t offset,
				   unsigned size, enum access access, gva_t *out);

/* Paging: checks and translates. */
enum emulate_result operand_translate(struct emulation *em, gva_t va, unsigned size,
				      enum access access, struct operand *out);

/* Both, for an operand at an offset other than the instruction's own; may be RAM. */
enum emulate_result operand_at(struct emulation *em, unsigned segment, uint64_t offset,
			       unsigned size, enum access access, struct operand *out);

/* Both, for the instruction's own operand moved by `displace` bytes; EMULATE_RETRY if it is RAM. */
enum emulate_result operand_own(struct emulation *em, int64_t displace, enum access access,
				struct operand *out);

/* Whether an access to it leaves RAM. */
bool operand_is_mmio(const struct operand *o, enum access access);

/* Accesses; sizes up to 8 as a value, any size as bytes. */
uint64_t operand_read(struct emulation *em, const struct operand *o);
void operand_write(struct emulation *em, const struct operand *o, uint64_t value);
void operand_read_bytes(struct emulation *em, const struct operand *o, void *out);
void operand_write_bytes(struct emulation *em, const struct operand *o, const void *in);

/* --- registers --- */

static inline uint64_t gpr_read(const struct emulation *em, unsigned reg, unsigned size)
{
	return em->v->regs.gpr[reg] & alu_mask(size);
}

/* Writes of 4 bytes clear the upper half, those of 1 and 2 bytes keep the rest. */
static inline void emulate_merge(uint64_t *gpr, unsigned shift, unsigned size, uint64_t value)
{
	if (size == 4) {
		*gpr = (uint32_t)value;
	} else {
		uint64_t mask = alu_mask(size) << shift;

		*gpr = (*gpr & ~mask) | (value << shift & mask);
	}
}

static inline void gpr_write_at(struct emulation *em, unsigned reg, unsigned shift, unsigned size,
				uint64_t value)
{
	emulate_merge(&em->v->regs.gpr[reg], shift, size, value);
	if (reg == RSP) {
		vcpu_touch(em->v, GROUP_RSP);
	}
}

static inline void gpr_write(struct emulation *em, unsigned reg, unsigned size, uint64_t value)
{
	gpr_write_at(em, reg, 0, size, value);
}

/* The instruction's own register operand. */
static inline uint64_t reg_read(const struct emulation *em)
{
	return em->v->regs.gpr[em->d->reg] >> em->d->reg_shift;
}

static inline void reg_write(struct emulation *em, unsigned size, uint64_t value)
{
	gpr_write_at(em, em->d->reg, em->d->reg_shift, size, value);
}

/* The source of a two-operand form: its upper bits may hold anything. */
static inline uint64_t emulate_source(const struct vcpu_regs *r, const struct decoded *d)
{
	return d->flags & DECODE_SOURCE_IMM ? (uint64_t)(int64_t)d->imm
					    : r->gpr[d->reg] >> d->reg_shift;
}

static inline uint64_t source(const struct emulation *em)
{
	return emulate_source(&em->v->regs, em->d);
}

static inline void flags_write(struct emulation *em, uint64_t rflags)
{
	em->v->regs.rflags = rflags;
	vcpu_touch(em->v, GROUP_RFLAGS);
}

/* --- faults --- */

enum emulate_result emulate_fault(struct emulation *em, enum exception vector, bool has_error,
				  uint32_t error);
static inline enum emulate_result emulate_gp0(struct emulation *em)
{
	return emulate_fault(em, EXC_GP, true, 0);
}
/* The result of a walk of va that did not succeed. */
enum emulate_result emulate_walk_failed(struct emulation *em, enum gwalk_result r, gva_t va,
					const struct gwalk_page *page);

static inline enum emulate_result emulate_walk(struct emulation *em, gva_t va,
					       enum gwalk_access access, struct gwalk_page *out)
{
	enum gwalk_result r = gwalk(em->e->as, &em->mode, va, access, out);

	return r == GWALK_OK ? EMULATE_DONE : emulate_walk_failed(em, r, va, out);
}

/* The RAM that was found, NULL if it is something else. */
static inline uint8_t *page_ram(const struct gwalk_page *page)
{
	const struct addr_range *r = page->range;

	return r && r->ptr ? r->ptr + (page->gpa.v - r->base.v) : NULL;
}

/* --- shapes of instructions (emulate_stack.c, emulate_simd.c, emulate_string.c) --- */

enum emulate_result emulate_push(struct emulation *em);
enum emulate_result emulate_pop(struct emulation *em);
enum emulate_result emulate_branch(struct emulation *em); /* CALL and JMP; sets RIP */
enum emulate_result emulate_simd(struct emulation *em);
enum emulate_result emulate_string(struct emulation *em);
