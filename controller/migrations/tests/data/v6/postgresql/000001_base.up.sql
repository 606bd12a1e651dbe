-- The tables as 5.39 has them, as far as the v6.0 statements touch them.
CREATE TABLE channelmembers (channelid varchar(26) NOT NULL, userid varchar(26) NOT NULL, lastviewedat bigint, schemeguest boolean, notifyprops varchar(2000), PRIMARY KEY (channelid, userid));
CREATE INDEX idx_channelmembers_user_id ON channelmembers (userid);
CREATE TABLE jobs (id varchar(26) PRIMARY KEY, data varchar(1024));
CREATE TABLE linkmetadata (hash bigint PRIMARY KEY, data varchar(4096));
CREATE TABLE posts (id varchar(26) PRIMARY KEY, rootid varchar(26), parentid varchar(26), deleteat bigint, props varchar(8000), fileids varchar(150));
CREATE INDEX idx_posts_root_id ON posts (rootid);
CREATE TABLE sessions (id varchar(26) PRIMARY KEY, props varchar(1000));
CREATE TABLE threads (postid varchar(26) PRIMARY KEY, channelid varchar(26), lastreplyat bigint, participants text);
CREATE INDEX idx_threads_channel_id ON threads (channelid);
CREATE TABLE users (id varchar(26) PRIMARY KEY, props varchar(4000), notifyprops varchar(2000), timezone varchar(256));
CREATE TABLE commandwebhooks (id varchar(26) PRIMARY KEY, rootid varchar(26), parentid varchar(26));
CREATE TABLE channels (id varchar(26) PRIMARY KEY, teamid varchar(26), type varchar(1), displayname varchar(64));
CREATE INDEX idx_channels_team_id ON channels (teamid);
CREATE TABLE status (userid varchar(26) PRIMARY KEY, status varchar(32), dndendtime bigint);
CREATE INDEX idx_status_status ON status (status);
