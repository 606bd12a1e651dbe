UPDATE Posts SET RootId = ParentId WHERE RootId = '' AND RootId != ParentId;
