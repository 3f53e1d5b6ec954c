/*
 * Carries out one instruction; see emulate.h. This file drives: fetch, decode, and the shapes with
 * one memory operand and general registers. Stack, string and vector shapes have files of their
 * own.
 *
 * Every shape checks and translates all its operands before the first access, so that a fault
 * leaves registers and devices alone. LOCK needs no care: a device's register is not shared with
 * other CPUs in a way that an interleaved access could show, and devices take their own lock.
 */
#include "hv/emulate_part.h"

static uint64_t swap_bytes(uint64_t v, unsigned size)
{
	return __builtin_bswap64(v) >> (64 - 8 * size);
}

static enum emulate_result load(struct emulation *em)
{
	const struct decoded *d = em->d;
	struct operand o;
	enum emulate_result r = operand_own(em, 0, ACCESS_READ, &o);
	uint64_t value;

	if (r != EMULATE_DONE) {
		return r;
	}
	value = operand_read(em, &o);
	if (d->flags & DECODE_SIGN) {
		value = alu_sign_extend(value, d->size);
	} else if (d->flags & DECODE_SWAP) {
		value = swap_bytes(value, d->size);
	}
	reg_write(em, d->reg_size, value);
	return EMULATE_DONE;
}

static enum emulate_result store(struct emulation *em)
{
	const struct decoded *d = em->d;
	struct operand o;
	enum emulate_result r = operand_own(em, 0, ACCESS_WRITE, &o);
	uint64_t value = source(em);

	if (r != EMULATE_DONE) {
		return r;
	}
	operand_write(em, &o, d->flags & DECODE_SWAP ? swap_bytes(value, d->size) : value);
	return EMULATE_DONE;
}

static enum emulate_result alu_load(struct emulation *em)
{
	const struct decoded *d = em->d;
	uint64_t rflags = em->v->regs.rflags, value;
	struct operand o;
	enum emulate_result r = operand_own(em, 0, ACCESS_READ, &o);

	if (r != EMULATE_DONE) {
		return r;
	}
	value = alu(d->arg, d->size, reg_read(em), operand_read(em, &o), &rflags);
	if (alu_writes(d->arg)) {
		reg_write(em, d->size, value);
	}
	flags_write(em, rflags);
	return EMULATE_DONE;
}

static enum emulate_result alu_store_at(struct emulation *em, int64_t displace, uint64_t b)
{
	const struct decoded *d = em->d;
	uint64_t rflags = em->v->regs.rflags, value;
	bool writes = alu_writes(d->arg);
	struct operand o;
	enum emulate_result r = operand_own(em, displace, writes ? ACCESS_MODIFY : ACCESS_READ, &o);

	if (r != EMULATE_DONE) {
		return r;
	}
	value = alu(d->arg, d->size, operand_read(em, &o), b, &rflags);
	if (writes) {
		operand_write(em, &o, value);
	}
	flags_write(em, rflags);
	return EMULATE_DONE;
}

/*
 * A bit number in a register is signed and reaches beyond the operand, by whole operands; an
 * immediate one does not.
 */
static enum emulate_result bit(struct emulation *em)
{
	const struct decoded *d = em->d;
	unsigned shift = (unsigned)__builtin_ctz(d->size) + 3;
	int64_t number;

	if (d->flags & DECODE_SOURCE_IMM) {
		return alu_store_at(em, 0, (uint64_t)(int64_t)d->imm);
	}
	number = (int64_t)alu_sign_extend(reg_read(em), d->size);
	return alu_store_at(em, (number >> shift) * d->size, (uint64_t)number);
}

static enum emulate_result exchange(struct emulation *em)
{
	const struct decoded *d = em->d;
	uint64_t rflags = em->v->regs.rflags, old, value = reg_read(em);
	struct operand o;
	enum emulate_result r = operand_own(em, 0, ACCESS_MODIFY, &o);

	if (r != EMULATE_DONE) {
		return r;
	}
	old = operand_read(em, &o);
	if (d->op == OP_XADD) {
		value = alu(ALU_ADD, d->size, old, value, &rflags);
		flags_write(em, rflags);
	}
	operand_write(em, &o, value);
	reg_write(em, d->size, old);
	return EMULATE_DONE;
}

/* The CPU writes the operand in any case: with what it was if the comparison fails. */
static enum emulate_result compare_exchange(struct emulation *em)
{
	const struct decoded *d = em->d;
	uint64_t rflags = em->v->regs.rflags, old;
	struct operand o;
	enum emulate_result r = operand_own(em, 0, ACCESS_MODIFY, &o);

	if (r != EMULATE_DONE) {
		return r;
	}
	old = operand_read(em, &o);
	alu(ALU_CMP, d->size, gpr_read(em, RAX, d->size), old, &rflags);
	flags_write(em, rflags);
	if (rflags & RFLAGS_ZF) {
		operand_write(em, &o, reg_read(em));
	} else {
		operand_write(em, &o, old);
		gpr_write(em, RAX, d->size, old);
	}
	return EMULATE_DONE;
}

/* CMPXCHG8B and CMPXCHG16B: pairs of registers of half the operand's size. */
static enum emulate_result compare_exchange_wide(struct emulation *em)
{
	unsigned size = em->d->size, half = size / 2;
	uint8_t old[16], wanted[16], new[16];
	struct operand o;
	enum emulate_result r = operand_own(em, 0, ACCESS_MODIFY, &o);
	const uint64_t *gpr = em->v->regs.gpr;
	uint64_t rflags = em->v->regs.rflags & ~RFLAGS_ZF, part;

	if (r != EMULATE_DONE) {
		return r;
	}
	memcpy(wanted, &gpr[RAX], half);
	memcpy(wanted + half, &gpr[RDX], half);
	memcpy(new, &gpr[RBX], half);
	memcpy(new + half, &gpr[RCX], half);
	operand_read_bytes(em, &o, old);
	if (memcmp(old, wanted, size) == 0) {
		rflags |= RFLAGS_ZF;
		operand_write_bytes(em, &o, new);
	} else {
		operand_write_bytes(em, &o, old);
		part = 0;
		memcpy(&part, old, half);
		gpr_write(em, RAX, half, part);
		memcpy(&part, old + half, half);
		gpr_write(em, RDX, half, part);
	}
	flags_write(em, rflags);
	return EMULATE_DONE;
}

static enum emulate_result execute(struct emulation *em)
{
	switch ((enum decode_op)em->d->op) {
	case OP_LOAD: return load(em);
	case OP_STORE: return store(em);
	case OP_ALU_LOAD: return alu_load(em);
	case OP_ALU_STORE: return alu_store_at(em, 0, source(em));
	case OP_BIT: return bit(em);
	case OP_XCHG:
	case OP_XADD: return exchange(em);
	case OP_CMPXCHG: return compare_exchange(em);
	case OP_CMPXCHG_WIDE: return compare_exchange_wide(em);
	case OP_PUSH: return emulate_push(em);
	case OP_POP: return emulate_pop(em);
	case OP_CALL:
	case OP_JMP: return emulate_branch(em);
	case OP_SIMD_LOAD:
	case OP_SIMD_STORE: return emulate_simd(em);
	case OP_STRING: return emulate_string(em);
	case OP_NO_MEMORY: return EMULATE_RETRY;
	case OP_UNKNOWN: break;
	}
	return EMULATE_UNKNOWN;
}

enum emulate_result emulate(struct emulate *e)
{
	struct emulation em;
	enum emulate_result r;

	emulate_begin(&em, e);
	r = emulate_fetch(&em);
	if (r != EMULATE_DONE) {
		return r;
	}
	vcpu_need(em.v, em.d->groups);
	em.advance = em.d->len;
	r = execute(&em);
	if (r == EMULATE_DONE) {
		vcpu_skip(em.v, em.advance);
	}
	return r;
}
