ALTER TABLE accounts ADD CONSTRAINT uq_accounts_id_role UNIQUE (id, role);

CREATE SEQUENCE people_id_seq;

CREATE TABLE people (
    id BIGINT DEFAULT nextval('people_id_seq') NOT NULL,
    password_hash TEXT,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_people PRIMARY KEY (id)
);

CREATE TABLE identities (
    fingerprint BYTEA NOT NULL,
    kind TEXT NOT NULL,
    person_id BIGINT NOT NULL,
    sealed TEXT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_identities PRIMARY KEY (fingerprint),
    CONSTRAINT ck_identities_kind CHECK (kind IN ('phone', 'openid', 'unionid')),
    CONSTRAINT fk_identities_person_id FOREIGN KEY(person_id) REFERENCES people (id)
);

CREATE INDEX ix_identities_person_id ON identities (person_id);

CREATE TABLE memberships (
    person_id BIGINT NOT NULL,
    account_id BIGINT NOT NULL,
    role TEXT NOT NULL,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_memberships PRIMARY KEY (person_id, account_id),
    CONSTRAINT fk_memberships_account_id_role FOREIGN KEY(account_id, role) REFERENCES accounts (id, role),
    CONSTRAINT fk_memberships_person_id FOREIGN KEY(person_id) REFERENCES people (id)
);

CREATE INDEX ix_memberships_account_id ON memberships (account_id);
CREATE UNIQUE INDEX uq_memberships_customer ON memberships (account_id) WHERE role = 'customer';
CREATE UNIQUE INDEX uq_memberships_person ON memberships (person_id) WHERE role = 'customer';

CREATE SEQUENCE sessions_id_seq;

CREATE TABLE sessions (
    id BIGINT DEFAULT nextval('sessions_id_seq') NOT NULL,
    person_id BIGINT NOT NULL,
    method TEXT NOT NULL,
    started_at TIMESTAMP WITH TIME ZONE NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
    ended_at TIMESTAMP WITH TIME ZONE,
    end_reason TEXT,
    CONSTRAINT pk_sessions PRIMARY KEY (id),
    CONSTRAINT ck_sessions_method CHECK (method IN ('password', 'code', 'wechat')),
    CONSTRAINT ck_sessions_end_reason CHECK (end_reason IN ('signed_out', 'token_reused', 'password_changed', 'merged')),
    CONSTRAINT ck_sessions_ended_at CHECK ((ended_at IS NULL) = (end_reason IS NULL)),
    CONSTRAINT fk_sessions_person_id FOREIGN KEY(person_id) REFERENCES people (id)
);

CREATE INDEX ix_sessions_person_id ON sessions (person_id);

CREATE TABLE refresh_tokens (
    digest BYTEA NOT NULL,
    session_id BIGINT NOT NULL,
    account_id BIGINT,
    expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
    used_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_refresh_tokens PRIMARY KEY (digest),
    CONSTRAINT fk_refresh_tokens_session_id FOREIGN KEY(session_id) REFERENCES sessions (id) ON DELETE CASCADE,
    CONSTRAINT fk_refresh_tokens_account_id FOREIGN KEY(account_id) REFERENCES accounts (id)
);

CREATE INDEX ix_refresh_tokens_session_id ON refresh_tokens (session_id);
CREATE UNIQUE INDEX uq_refresh_tokens_unused ON refresh_tokens (session_id) WHERE used_at IS NULL;

CREATE TABLE one_time_codes (
    phone BYTEA NOT NULL,
    digest BYTEA NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
    tries BIGINT DEFAULT '0' NOT NULL,
    used_at TIMESTAMP WITH TIME ZONE,
    CONSTRAINT pk_one_time_codes PRIMARY KEY (phone)
);

CREATE TABLE rate_limits (
    key BYTEA NOT NULL,
    empty_at TIMESTAMP WITH TIME ZONE NOT NULL,
    span INTERVAL NOT NULL,
    CONSTRAINT pk_rate_limits PRIMARY KEY (key)
);

CREATE INDEX ix_rate_limits_empty_at ON rate_limits (empty_at);

CREATE TABLE invitations (
    digest BYTEA NOT NULL,
    phone BYTEA NOT NULL,
    account_id BIGINT NOT NULL,
    invited_by BIGINT NOT NULL,
    inviter_id BIGINT,
    created_at TIMESTAMP WITH TIME ZONE NOT NULL,
    expires_at TIMESTAMP WITH TIME ZONE NOT NULL,
    accepted_at TIMESTAMP WITH TIME ZONE,
    accepted_by BIGINT,
    CONSTRAINT pk_invitations PRIMARY KEY (digest),
    CONSTRAINT ck_invitations_accepted_at CHECK ((accepted_at IS NULL) = (accepted_by IS NULL)),
    CONSTRAINT ck_invitations_expires_at CHECK (accepted_at < expires_at),
    CONSTRAINT fk_invitations_account_id FOREIGN KEY(account_id) REFERENCES accounts (id),
    CONSTRAINT fk_invitations_invited_by FOREIGN KEY(invited_by) REFERENCES accounts (id),
    CONSTRAINT fk_invitations_inviter_id FOREIGN KEY(inviter_id) REFERENCES people (id),
    CONSTRAINT fk_invitations_accepted_by FOREIGN KEY(accepted_by) REFERENCES people (id)
);

GRANT USAGE ON SEQUENCE people_id_seq, sessions_id_seq TO s2b2c_app;
GRANT SELECT, INSERT ON people, identities, memberships TO s2b2c_app;
GRANT UPDATE (password_hash) ON people TO s2b2c_app;
GRANT UPDATE (person_id) ON identities, memberships TO s2b2c_app;
GRANT SELECT, INSERT, DELETE ON sessions, refresh_tokens, one_time_codes, rate_limits, invitations TO s2b2c_app;
GRANT UPDATE (ended_at, end_reason) ON sessions TO s2b2c_app;
GRANT UPDATE (used_at) ON refresh_tokens TO s2b2c_app;
GRANT UPDATE ON one_time_codes, rate_limits TO s2b2c_app;
GRANT UPDATE (accepted_at, accepted_by) ON invitations TO s2b2c_app;
